#include <algorithm>
#include <cmath>
#include <vector>

#include "batch_layer/models/inverse.h"
#include "batch_layer/models/item_item.h"
#include "batch_layer/models/parallel.h"

namespace tributary::batch {
namespace {

constexpr size_t kItemBlock = 64;

// X'X + l I, its upper triangle.
Factors RegularizedGramian(const InteractionMatrix& matrix, const EaseOptions& options) {
  Factors gram(matrix.items(), static_cast<int>(matrix.items()));
  ForEachBlock(matrix.items(), kItemBlock, options.threads, [&](size_t begin, size_t end, int) {
    for (auto item = static_cast<uint32_t>(begin); item < end; ++item) {
      const absl::Span<float> sums = gram.row(item);
      for (const uint32_t user : matrix.by_item().row(item).columns) {
        const absl::Span<const uint32_t> others = matrix.by_row().row(user).columns;
        for (auto other = std::lower_bound(others.begin(), others.end(), item); other != others.end(); ++other) {
          ++sums[*other];
        }
      }
      sums[item] += options.regularization;
    }
  });
  return gram;
}

}  // namespace

ItemItemModel TrainEase(const InteractionMatrix& matrix, const EaseOptions& options) {
  Factors inverse = RegularizedGramian(matrix, options);
  InvertInPlace(&inverse, options.threads);
  const uint32_t items = matrix.items();
  std::vector<std::vector<SparseRows::Entry>> rows(items);
  ForEachBlock(items, kItemBlock, options.threads, [&](size_t begin, size_t end, int) {
    for (auto i = static_cast<uint32_t>(begin); i < end; ++i) {
      std::vector<SparseRows::Entry>& row = rows[i];
      if (matrix.by_item().row(i).size() == 0) {
        continue;
      }
      for (uint32_t j = 0; j < items; ++j) {
        if (j != i) {
          const float value = j < i ? inverse.row(j)[i] : inverse.row(i)[j];
          row.push_back({j, -value / inverse.row(j)[j]});
        }
      }
      if (row.size() > options.links) {
        std::nth_element(row.begin(), row.begin() + options.links, row.end(),
                         [](const SparseRows::Entry& a, const SparseRows::Entry& b) {
                           const float left = std::abs(a.weight), right = std::abs(b.weight);
                           return left != right ? left > right : a.column < b.column;
                         });
        row.resize(options.links);
        row.shrink_to_fit();
      }
    }
  });
  return {SparseRows(items, std::move(rows)), Factors(items, 0), Factors(items, 0)};
}

}  // namespace tributary::batch
