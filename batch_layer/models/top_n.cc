#include "batch_layer/models/top_n.h"

#include <Eigen/Core>
#include <algorithm>
#include <utility>

#include "batch_layer/models/parallel.h"

namespace tributary::batch {
namespace {

// Part of the result's bits, so fixed: a product's rounding may depend on the shape of the block it is computed in.
constexpr size_t kUserBlock = 64;
constexpr uint32_t kItemBlock = 1024;   // With its users' scores in the second-level cache.

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;

bool Better(const ScoredItem& a, const ScoredItem& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

Eigen::Map<const RowMajor> Rows(const Factors& factors, size_t begin, size_t count) {
  return {factors.data() + begin * static_cast<size_t>(factors.dimensions()), static_cast<Index>(count),
          Index{factors.dimensions()}};
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

std::vector<std::vector<ScoredItem>> ScoreTopN(const Factors& users, uint32_t begin, uint32_t end, const Factors& items,
                                               const TopNOptions& options) {
  std::vector<std::vector<ScoredItem>> lists(end - begin);
  std::vector<RowMajor> buffers(static_cast<size_t>(options.threads));
  ForEachBlock(lists.size(), kUserBlock, options.threads, [&](size_t first, size_t last, int worker) {
    const size_t count = last - first;
    RowMajor& scores = buffers[static_cast<size_t>(worker)];
    std::vector<TopItems> best(count, TopItems(options.n));
    std::vector<size_t> passed(count, 0);   // How many of the user's excluded items lie before the block.
    for (uint32_t item = 0; item < items.rows(); item += kItemBlock) {
      const uint32_t width = std::min(kItemBlock, items.rows() - item);
      scores.noalias() = Rows(users, begin + first, count) * Rows(items, item, width).transpose();
      for (size_t u = 0; u < count; ++u) {
        float* row = scores.data() + u * width;
        if (options.excluded != nullptr) {
          const absl::Span<const uint32_t> out = options.excluded->row(begin + static_cast<uint32_t>(first + u)).columns;
          for (size_t& i = passed[u]; i < out.size() && out[i] < item + width; ++i) {
            row[out[i] - item] = -std::numeric_limits<float>::infinity();
          }
        }
        for (uint32_t i = 0; i < width; ++i) {
          best[u].Offer(item + i, row[i]);
        }
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
