#ifndef TRIBUTARY_BATCH_LAYER_MODELS_TOP_N_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_TOP_N_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/models/interaction_matrix.h"
#include "common/dense/factors.h"
#include "common/ids/ids.h"

namespace tributary::batch {

// Keeps the best n of the candidates offered, by score, ties by smaller item. Scores that are not finite are passed over.
class TopItems {
 public:
  explicit TopItems(size_t n) : n_(n) {}   // n >= 1

  void Offer(uint32_t item, float score) {
    if (score >= least_ && std::isfinite(score)) {
      kept_.push_back({ItemNumber{item}, score});
      if (kept_.size() >= 2 * n_) {
        Shrink();
      }
    }
  }

  // Offers items first, first + 1 ... with these scores.
  void OfferAll(uint32_t first, absl::Span<const float> scores);

  // The best, best first, scores as offered. Starts anew.
  std::vector<ScoredItem> Take();

 private:
  void Shrink();

  const size_t n_;
  float least_ = -std::numeric_limits<float>::infinity();   // Of the n best when they were last cut out.
  std::vector<ScoredItem> kept_;
  std::vector<uint32_t> places_;
};

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
