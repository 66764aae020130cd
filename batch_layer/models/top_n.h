#ifndef TRIBUTARY_BATCH_LAYER_MODELS_TOP_N_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_TOP_N_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/models/interaction_matrix.h"
#include "common/dense/factors.h"
#include "common/dense/top_items.h"
#include "common/ids/ids.h"

namespace tributary::batch {

struct TopNOptions {
  size_t n = 100;                           // Items a list, >= 1.
  const SparseRows* excluded = nullptr;     // users x items: not in the user's list. Null: nothing is excluded.
  int threads = 1;                          // >= 1.
};

// The n items with the largest inner product for the users [begin, end), best first, ties by smaller item; fewer where not
// enough are left. Exact. Results do not depend on the number of threads nor on how users are cut into slices. Scores are max(0, inner product): ranked before, so that items below zero keep their order.
std::vector<std::vector<ScoredItem>> ScoreTopN(const Factors& users, uint32_t begin, uint32_t end, const Factors& items,
                                               const TopNOptions& options);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_TOP_N_H_
