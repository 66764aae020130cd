#include <algorithm>
#include <cmath>
#include <vector>

#include "batch_layer/models/eigenbasis.h"
#include "batch_layer/models/item_item.h"
#include "batch_layer/models/item_neighbours.h"
#include "batch_layer/models/parallel.h"
#include "batch_layer/models/random_normal.h"

namespace tributary::batch {
namespace {

constexpr size_t kRowBlock = 256;
constexpr int kIterations = 5;
constexpr float kRankTolerance = 1e-6f;   // Of the largest eigenvalue: below it a direction is rounding.

// 1 / sqrt(number of observations), 0 without one.
std::vector<float> InverseRoots(const SparseRows& rows) {
  std::vector<float> roots(rows.rows());
  for (uint32_t i = 0; i < rows.rows(); ++i) {
    roots[i] = rows.row(i).size() == 0 ? 0 : 1 / std::sqrt(static_cast<float>(rows.row(i).size()));
  }
  return roots;
}

// scale_rows(i) * sum over the columns j of row i of scale_columns(j) * dense(j).
Factors Multiply(const SparseRows& rows, const std::vector<float>& scale_rows, const std::vector<float>& scale_columns,
                 const Factors& dense, int threads) {
  Factors product(rows.rows(), dense.dimensions());
  ForEachBlock(rows.rows(), kRowBlock, threads, [&](size_t begin, size_t end, int) {
    for (auto i = static_cast<uint32_t>(begin); i < end; ++i) {
      const absl::Span<float> sum = product.row(i);
      for (const uint32_t column : rows.row(i).columns) {
        const float weight = scale_rows[i] * scale_columns[column];
        const absl::Span<const float> other = dense.row(column);
        for (size_t a = 0; a < sum.size(); ++a) {
          sum[a] += weight * other[a];
        }
      }
    }
  });
  return product;
}

// Columns that span the same space, orthogonal and of length 1; as many zeros as they depend on each other.
void Orthonormalize(Factors* factors, int threads) {
  std::vector<float> scale = RotateIntoEigenbasis(factors, threads);
  const float least = kRankTolerance * (scale.empty() ? 0 : scale.back());
  for (float& value : scale) {
    value = value > least ? 1 / std::sqrt(value) : 0;
  }
  ForEachBlock(factors->rows(), kRowBlock, threads, [&](size_t begin, size_t end, int) {
    for (auto i = static_cast<uint32_t>(begin); i < end; ++i) {
      for (size_t a = 0; a < scale.size(); ++a) {
        factors->row(i)[a] *= scale[a];
      }
    }
  });
}

}  // namespace

ItemItemModel TrainGfCf(const InteractionMatrix& matrix, const GfCfOptions& options) {
  const std::vector<float> users = InverseRoots(matrix.by_row());
  const std::vector<float> items = InverseRoots(matrix.by_item());
  const auto rank = static_cast<int>(std::min({static_cast<uint32_t>(options.dimensions), matrix.rows(), matrix.items()}));
  ItemItemModel model;
  model.from = RandomNormal(matrix.items(), rank, /*deviation=*/1, options.seed);
  for (int i = 0; i < kIterations && rank > 0; ++i) {
    const Factors projected = Multiply(matrix.by_row(), users, items, model.from, options.threads);
    model.from = Multiply(matrix.by_item(), items, users, projected, options.threads);
    Orthonormalize(&model.from, options.threads);
  }
  model.to = model.from;
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    for (float& value : model.from.row(item)) {
      value *= items[item];
    }
    const float back = items[item] == 0 ? 0 : options.low_pass_weight / items[item];
    for (float& value : model.to.row(item)) {
      value *= back;
    }
  }
  NeighbourOptions neighbours;
  neighbours.k = options.links;
  neighbours.weighting = NeighbourWeighting::kDegree;
  neighbours.threads = options.threads;
  std::vector<std::vector<SparseRows::Entry>> rows(matrix.items());
  const auto lists = ItemNeighbours(matrix, neighbours).Compute(0, matrix.items());
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    for (const ScoredItem& other : lists[item]) {
      rows[item].push_back({Value(other.item), other.score});
    }
  }
  model.links = SparseRows(matrix.items(), std::move(rows));
  return model;
}

}  // namespace tributary::batch
