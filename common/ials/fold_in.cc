#include "common/ials/fold_in.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/dense/dense.h"

namespace tributary {

IalsFoldIn::IalsFoldIn(FactorsView items, std::vector<float> eigenvalues, const IalsLoss& loss)
    : items_(items), solver_(items, std::move(eigenvalues), loss) {}

std::vector<ScoredItem> IalsFoldIn::List(absl::Span<const uint32_t> columns, absl::Span<const float> weights, size_t n,
                                         bool exclude_own, Scratch* scratch) const {
  if (columns.empty()) {
    return {};
  }
  const auto d = static_cast<size_t>(items_.dimensions());
  scratch->user.resize(d);
  scratch->scores.resize(items_.rows());
  solver_.Solve({{columns, weights, absl::MakeSpan(scratch->user)}}, &scratch->workspace);
  dense::Best().inner_products(items_.data(), d, items_.rows(), d, scratch->user.data(), scratch->scores.data());
  if (exclude_own) {
    for (const uint32_t item : columns) {
      scratch->scores[item] = -std::numeric_limits<float>::infinity();
    }
  }
  TopItems best(n);
  best.OfferAll(0, scratch->scores);
  std::vector<ScoredItem> list = best.Take();
  for (ScoredItem& scored : list) {
    scored.score = std::max(0.0f, scored.score);
  }
  return list;
}

}  // namespace tributary
