#include "common/dense/top_items.h"

#include <algorithm>
#include <utility>

#include "common/dense/dense.h"

namespace tributary {
namespace {

struct Better {   // A type of its own is inlined where it is used.
  bool operator()(const ScoredItem& a, const ScoredItem& b) const {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  }
};

}  // namespace

void TopItems::Shrink() {
  if (kept_.size() > n_) {
    const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(n_);
    std::nth_element(kept_.begin(), end - 1, kept_.end(), Better());
    kept_.erase(end, kept_.end());
    least_ = kept_.back().score;
  }
}

std::vector<ScoredItem> TopItems::Take() {
  Shrink();
  std::sort(kept_.begin(), kept_.end(), Better());
  least_ = -std::numeric_limits<float>::infinity();
  return std::exchange(kept_, {});
}

void TopItems::OfferAll(uint32_t first, absl::Span<const float> scores) {
  places_.resize(scores.size());
  for (size_t begin = 0; begin < scores.size();) {
    // Until n are kept every score passes, so in small pieces at first.
    const size_t count = std::min(kept_.size() < n_ ? n_ : scores.size(), scores.size() - begin);
    const size_t found = dense::Best().find_at_least(scores.data() + begin, count, least_, places_.data());
    for (size_t i = 0; i < found; ++i) {
      const size_t at = begin + places_[i];
      Offer(first + static_cast<uint32_t>(at), scores[at]);
    }
    begin += count;
  }
}

}  // namespace tributary
