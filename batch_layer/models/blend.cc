#include "batch_layer/models/blend.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "batch_layer/models/parallel.h"

namespace tributary::batch {
namespace {

// Users at a time: as many as make a product efficient, and their scores stay in the third-level cache.
constexpr size_t kMostUsers = 96;
constexpr size_t kLeastUsers = 12;
constexpr size_t kScoreFloats = size_t{1} << 22;

dense::RightSide Concatenate(const Factors& left, const Factors& right) {
  const auto a = static_cast<size_t>(left.dimensions()), b = static_cast<size_t>(right.dimensions());
  std::vector<float> rows(left.rows() * (a + b));
  for (uint32_t i = 0; i < left.rows(); ++i) {
    float* const row = rows.data() + i * (a + b);
    std::copy(left.row(i).begin(), left.row(i).end(), row);
    std::copy(right.row(i).begin(), right.row(i).end(), row + a);
  }
  return dense::RightSide::FromColumns(rows.data(), a + b, a + b, left.rows());
}

float InverseDeviation(double sum, double squares, double n) {
  const double variance = squares / n - sum / n * (sum / n);
  return variance > 0 ? static_cast<float>(1 / std::sqrt(variance)) : 1;
}

}  // namespace

Blend::Blend(const InteractionMatrix& matrix, const IalsModel& ials, const ItemItemModel& item_item)
    : matrix_(matrix),
      ials_(ials),
      item_item_(item_item),
      mean_item_(static_cast<size_t>(ials.items.dimensions())),
      items_(Concatenate(ials.items, item_item.to)) {
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    const absl::Span<const float> row = ials.items.row(item);
    for (size_t a = 0; a < row.size(); ++a) {
      mean_item_[a] += double{row[a]} / matrix.items();
    }
  }
}

void Blend::Prepare(uint32_t user, float ials_weight, absl::Span<float> scores, absl::Span<float> vector) const {
  const SparseRows::Row own = matrix_.by_row().row(user);
  std::fill(scores.begin(), scores.end(), 0.0f);
  std::fill(vector.begin(), vector.end(), 0.0f);
  const auto n = static_cast<double>(scores.size());

  // The items are in the eigenbasis of their Gramian, so their scores' squares add up to a sum over its eigenvalues.
  const absl::Span<const float> factors = ials_.users.row(user);
  double sum = 0, squares = 0;
  for (size_t a = 0; a < factors.size(); ++a) {
    sum += factors[a] * mean_item_[a] * n;
    squares += double{factors[a]} * factors[a] * ials_.item_eigenvalues[a];
  }
  const float ials_scale = ials_weight * InverseDeviation(sum, squares, n);
  for (size_t a = 0; a < factors.size(); ++a) {
    vector[a] = ials_scale * factors[a];
  }

  const absl::Span<float> low_pass = vector.subspan(factors.size());
  for (const uint32_t item : own.columns) {
    const SparseRows::Row links = item_item_.links.row(item);
    for (size_t i = 0; i < links.size(); ++i) {
      scores[links.columns[i]] += links.weights[i];
    }
    const absl::Span<const float> from = item_item_.from.row(item);
    for (size_t a = 0; a < low_pass.size(); ++a) {
      low_pass[a] += from[a];
    }
  }
  sum = squares = 0;
  for (const float score : scores) {
    sum += score;
    squares += double{score} * score;
  }
  const float item_scale = (1 - ials_weight) * InverseDeviation(sum, squares, n);
  for (float& score : scores) {
    score *= item_scale;
  }
  for (float& value : low_pass) {
    value *= item_scale;
  }
}

std::vector<std::vector<ScoredItem>> Blend::TopN(absl::Span<const uint32_t> users, float ials_weight, size_t n,
                                                 bool exclude_own, int threads) const {
  struct Buffers {
    std::vector<float> scores, vectors;
  };
  const size_t items = matrix_.items();
  const size_t depth = items_.depth();
  const size_t block = std::clamp(kScoreFloats / std::max<size_t>(1, items), kLeastUsers, kMostUsers);
  std::vector<std::vector<ScoredItem>> lists(users.size());
  std::vector<Buffers> buffers(static_cast<size_t>(threads));
  ForEachBlock(users.size(), block, threads, [&](size_t begin, size_t end, int worker) {
    Buffers& b = buffers[static_cast<size_t>(worker)];
    b.scores.resize(block * items);
    b.vectors.resize(block * depth);
    const auto row = [&](size_t i) { return absl::MakeSpan(b.scores).subspan((i - begin) * items, items); };
    for (size_t i = begin; i < end; ++i) {
      Prepare(users[i], ials_weight, row(i), absl::MakeSpan(b.vectors).subspan((i - begin) * depth, depth));
    }
    items_.Multiply(b.vectors.data(), depth, end - begin, 0, items, b.scores.data(), items, dense::Update::kAdd);
    for (size_t i = begin; i < end; ++i) {
      if (exclude_own) {
        for (const uint32_t item : matrix_.by_row().row(users[i]).columns) {
          row(i)[item] = -std::numeric_limits<float>::infinity();
        }
      }
      TopItems best(n);
      best.OfferAll(0, row(i));
      lists[i] = best.Take();
      for (ScoredItem& scored : lists[i]) {
        scored.score = std::max(0.0f, scored.score);
      }
    }
  });
  return lists;
}

}  // namespace tributary::batch
