#include "batch_layer/models/top_n.h"

#include <algorithm>
#include <limits>

#include "batch_layer/models/parallel.h"
#include "common/dense/dense.h"

namespace tributary::batch {
namespace {

constexpr size_t kUserBlock = 96;
constexpr uint32_t kItemBlock = 1024;   // With its users' scores in the second-level cache.

}  // namespace

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
