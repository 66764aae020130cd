#include "common/ials/fold_in.h"

#include <algorithm>
#include <utility>

namespace tributary {

IalsFoldIn::IalsFoldIn(FactorsView items, std::vector<float> eigenvalues, const IalsLoss& loss)
    : dimensions_(static_cast<size_t>(items.dimensions())), items_(items), solver_(items, std::move(eigenvalues), loss) {}

std::vector<ScoredItem> IalsFoldIn::List(absl::Span<const uint32_t> columns, absl::Span<const float> weights, size_t n,
                                         bool exclude_own, Scratch* scratch) const {
  if (columns.empty()) {
    return {};
  }
  scratch->user.resize(dimensions_);
  solver_.Solve({{columns, weights, absl::MakeSpan(scratch->user)}}, &scratch->workspace);
  std::vector<ScoredItem> list = items_.Top(scratch->user, n + (exclude_own ? columns.size() : 0), &scratch->top);
  if (exclude_own) {
    list.erase(std::remove_if(list.begin(), list.end(),
                              [&](const ScoredItem& scored) {
                                return std::binary_search(columns.begin(), columns.end(), Value(scored.item));
                              }),
               list.end());
    list.resize(std::min(list.size(), n));
  }
  for (ScoredItem& scored : list) {
    scored.score = std::max(0.0f, scored.score);
  }
  return list;
}

}  // namespace tributary
