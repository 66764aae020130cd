#ifndef TRIBUTARY_TESTS_BATCH_LAYER_MODELS_SYNTHETIC_H_
#define TRIBUTARY_TESTS_BATCH_LAYER_MODELS_SYNTHETIC_H_

#include <cstdint>
#include <vector>

#include "batch_layer/models/interaction_matrix.h"

namespace tributary::batch::synthetic {

// Distinct (row, item) pairs; each row has 0 to `most` of them, weights 0.5 to 3. The last row is empty.
InteractionMatrix Random(uint32_t rows, uint32_t items, uint32_t most, uint64_t seed);

// Users of `clusters` groups: nine of ten choices are from the group's own items, the rest from all; within both, low item
// numbers are likelier. The last choices of each user are held out.
struct Clustered {
  std::vector<Interaction> train;
  std::vector<std::vector<uint32_t>> held_out;   // By user.
};
Clustered Clusters(uint32_t users, uint32_t items, uint32_t clusters, uint64_t seed);

}  // namespace tributary::batch::synthetic

#endif  // TRIBUTARY_TESTS_BATCH_LAYER_MODELS_SYNTHETIC_H_
