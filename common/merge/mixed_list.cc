#include "common/merge/mixed_list.h"

#include <algorithm>

namespace tributary {
namespace {

float BestOf(absl::Span<const ScoredItem> list) { return list.empty() ? 0 : list.front().score; }

}  // namespace

std::vector<ScoredItem> MixedList(absl::Span<const ScoredItem> stored, absl::Span<const ScoredItem> folded, double share,
                                  size_t length) {
  if (BestOf(stored) <= 0) {
    share = 1;
  } else if (BestOf(folded) <= 0) {
    share = 0;
  }
  std::vector<ScoredItem> mixed;
  mixed.reserve(stored.size() + folded.size());
  const auto add = [&](absl::Span<const ScoredItem> list, double weight) {
    const double scale = weight > 0 ? weight / BestOf(list) : 0;
    for (const ScoredItem& scored : list) {
      if (const double part = scale * scored.score; part > 0) {
        mixed.push_back({scored.item, static_cast<float>(part)});
      }
    }
  };
  add(stored, 1 - share);
  add(folded, share);
  // The parts of one item beside each other, the stored one first.
  std::stable_sort(mixed.begin(), mixed.end(), [](const ScoredItem& a, const ScoredItem& b) { return a.item < b.item; });
  size_t items = 0;
  for (const ScoredItem& scored : mixed) {
    if (items > 0 && mixed[items - 1].item == scored.item) {
      mixed[items - 1].score += scored.score;
    } else {
      mixed[items++] = scored;
    }
  }
  mixed.resize(items);
  const auto end = mixed.begin() + static_cast<std::ptrdiff_t>(std::min(length, items));
  std::partial_sort(mixed.begin(), end, mixed.end(), [](const ScoredItem& a, const ScoredItem& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  });
  mixed.erase(end, mixed.end());
  return mixed;
}

}  // namespace tributary
