#ifndef TRIBUTARY_COMMON_DENSE_TOP_ITEMS_H_
#define TRIBUTARY_COMMON_DENSE_TOP_ITEMS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"

namespace tributary {

// Keeps the best n of the candidates offered, by score, ties by smaller item. Scores that are not finite are passed
// over.
class TopItems {
 public:
  explicit TopItems(size_t n) : n_(n) {}  // n >= 1

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
  float least_ = -std::numeric_limits<float>::infinity();  // Of the n best when they were last cut out.
  std::vector<ScoredItem> kept_;
  std::vector<uint32_t> places_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_DENSE_TOP_ITEMS_H_
