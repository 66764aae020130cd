#ifndef TRIBUTARY_BATCH_LAYER_LEARNING_VALIDATION_H_
#define TRIBUTARY_BATCH_LAYER_LEARNING_VALIDATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/models/interaction_matrix.h"

namespace tributary::batch {

// An observation and when it was made; equal times say nothing of the order.
struct Observation {
  Interaction interaction;
  int64_t time_unix_ms = 0;
};

struct ValidationOptions {
  size_t users = 1000;        // Rows whose latest observations are held out, at most; 0: none.
  size_t least_users = 200;   // With fewer there is no slice: what it says would be chance.
  uint64_t seed = 1;
};

// What is learned from and what that is measured against.
struct ValidationSlice {
  std::vector<Interaction> train;
  std::vector<uint32_t> rows;                     // Ascending; empty: no slice.
  std::vector<std::vector<uint32_t>> held_out;    // Items of each of `rows`, ascending.
  // All that each of `rows` did, the oldest first: as many at the end as are held out are those.
  std::vector<std::vector<Observation>> in_order;
};

// Rows with at least five items, chosen by the seed, give away their latest fifth; of equally late items the seed chooses.
// `observations`: by row, at most one a row and item.
ValidationSlice CutValidation(absl::Span<const Observation> observations, const ValidationOptions& options);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_LEARNING_VALIDATION_H_
