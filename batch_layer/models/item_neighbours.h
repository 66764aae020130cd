#ifndef TRIBUTARY_BATCH_LAYER_MODELS_ITEM_NEIGHBOURS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_ITEM_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "batch_layer/models/interaction_matrix.h"
#include "common/ids/ids.h"

// Items that are used together: normalised co-occurrence over item sets, which are users' histories, sessions, or both
// under one another as rows of one matrix.
//
//   similarity(i, j) = sum over sets s of v_si v_sj  /  (|v_i| |v_j| + shrink)        v_si = g(c_si) * r_s
//   kCosine: g(c) = c, r_s = 1.   kTfIdf: g(c) = sqrt(c), r_s = log(1 + items / |s|): long sets say less of a pair.
//   kDegree: g(c) = 1, r_s = 1 / sqrt|s|, and for |v_i| the root of the item's number of sets: R'R of item_item.h.
namespace tributary::batch {

enum class NeighbourWeighting { kCosine, kTfIdf, kDegree };

struct NeighbourOptions {
  size_t k = 50;                                              // Neighbours an item, at most. >= 1.
  NeighbourWeighting weighting = NeighbourWeighting::kTfIdf;
  float shrink = 0;                                           // >= 0. Draws pairs with little evidence towards 0.
  uint32_t largest_set = 0;                                   // Sets of more items are left out, as robots; 0: none are.
  int threads = 1;                                            // >= 1.
};

// Similarities over one matrix, prepared once. Borrows the matrix. Threads: immutable.
class ItemNeighbours {
 public:
  ItemNeighbours(const InteractionMatrix& sets, const NeighbourOptions& options);

  // For each item in [begin, end) the k most similar others with a similarity above 0, best first, ties by smaller item.
  // Exact; cost is the sum over the items' sets of their sizes, memory 4 bytes an item and thread. The result does not
  // depend on threads or slices.
  std::vector<std::vector<ScoredItem>> Compute(uint32_t begin, uint32_t end) const;

 private:
  float Value(uint32_t set, float weight) const;

  const InteractionMatrix& sets_;
  const NeighbourOptions options_;
  std::vector<float> set_scale_;    // r_s, by set; 0: left out.
  std::vector<float> item_norms_;   // |v_i|, by item.
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_ITEM_NEIGHBOURS_H_
