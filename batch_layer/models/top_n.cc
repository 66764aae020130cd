#include "batch_layer/models/top_n.h"

#include <algorithm>
#include <utility>

#include "batch_layer/models/parallel.h"
#include "common/dense/dense.h"

namespace tributary::batch {
namespace {

constexpr size_t kUserBlock = 96;
constexpr uint32_t kItemBlock = 1024;   // With its users' scores in the second-level cache.

bool Better(const ScoredItem& a, const ScoredItem& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

}  // namespace

void TopItems::Shrink() {
  if (kept_.size() > n_) {
    const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(n_);
    std::nth_element(kept_.begin(), end - 1, kept_.end(), Better);
    kept_.erase(end, kept_.end());
    least_ = kept_.back().score;
  }
}

std::vector<ScoredItem> TopItems::Take() {
  Shrink();
  std::sort(kept_.begin(), kept_.end(), Better);
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

std::vector<std::vector<ScoredItem>> ScoreTopN(const Factors& users, uint32_t begin, uint32_t end, const Factors& items,
                                               const TopNOptions& options) {
  const auto d = static_cast<size_t>(items.dimensions());
  const dense::RightSide right = dense::RightSide::FromColumns(items.data(), d, d, items.rows());
  std::vector<std::vector<ScoredItem>> lists(end - begin);
  std::vector<std::vector<float>> buffers(static_cast<size_t>(options.threads));
  ForEachBlock(lists.size(), kUserBlock, options.threads, [&](size_t first, size_t last, int worker) {
    const size_t count = last - first;
    std::vector<float>& scores = buffers[static_cast<size_t>(worker)];
    scores.resize(kUserBlock * kItemBlock);
    std::vector<TopItems> best(count, TopItems(options.n));
    std::vector<size_t> passed(count, 0);   // How many of the user's excluded items lie before the block.
    for (uint32_t item = 0; item < items.rows(); item += kItemBlock) {
      const uint32_t width = std::min(kItemBlock, items.rows() - item);
      right.Multiply(users.row(begin + static_cast<uint32_t>(first)).data(), d, count, item, item + width, scores.data(),
                     kItemBlock);
      for (size_t u = 0; u < count; ++u) {
        float* row = scores.data() + u * kItemBlock;
        if (options.excluded != nullptr) {
          const absl::Span<const uint32_t> out = options.excluded->row(begin + static_cast<uint32_t>(first + u)).columns;
          for (size_t& i = passed[u]; i < out.size() && out[i] < item + width; ++i) {
            row[out[i] - item] = -std::numeric_limits<float>::infinity();
          }
        }
        best[u].OfferAll(item, absl::MakeConstSpan(row, width));
      }
    }
    for (size_t u = 0; u < count; ++u) {
      lists[first + u] = best[u].Take();
      for (ScoredItem& scored : lists[first + u]) {
        scored.score = std::max(0.0f, scored.score);
      }
    }
  });
  return lists;
}

}  // namespace tributary::batch
