#include "common/merge/fatigue.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

namespace tributary {

void Fatigue::Compute(absl::Span<const LivePartition> partitions, const UserHistory& history, const Catalogue& catalogue,
                      const MergePolicy::Fatigue& policy, int64_t now_unix_ms) {
  items_.clear();
  if (policy.impressions <= 0 || policy.strength <= 0) {
    return;
  }
  impressions_.clear();
  const int64_t forgotten = history.forgotten_until_unix_ms().value_or(std::numeric_limits<int64_t>::min());
  for (const LivePartition& partition : partitions) {
    for (const Fact& fact : partition.impressions) {
      if (fact.event_time_unix_ms <= forgotten || now_unix_ms - fact.event_time_unix_ms >= policy.window_ms) {
        continue;
      }
      if (const std::optional<ItemNumber> item = catalogue.Find(fact.item_id)) {
        impressions_.push_back({*item, fact.event_time_unix_ms, {partition.partition, fact.offset}});
      }
    }
  }
  // By item, the latest first.
  std::sort(impressions_.begin(), impressions_.end(), [](const Impression& a, const Impression& b) {
    return std::tie(a.item, b.event_time_unix_ms, b.position) < std::tie(b.item, a.event_time_unix_ms, a.position);
  });
  for (auto begin = impressions_.begin(); begin != impressions_.end();) {
    int64_t acted = std::numeric_limits<int64_t>::min();
    for (const Decision& decision : history.Find(begin->item)) {
      acted = std::max(acted, decision.key.event_time_unix_ms);
    }
    auto end = begin;
    while (end != impressions_.end() && end->item == begin->item && end->event_time_unix_ms > acted) {
      ++end;
    }
    if (const auto shown = static_cast<int32_t>(end - begin); shown >= policy.impressions) {
      items_.push_back({.item = begin->item,
                        .latest = {.type = v1::IMPRESSION,
                                   .position = begin->position,
                                   .event_time_unix_ms = begin->event_time_unix_ms},
                        .impressions = shown,
                        .factor = 1 / (1 + policy.strength * (shown - policy.impressions + 1))});
    }
    begin = std::find_if(end, impressions_.end(), [&](const Impression& other) { return other.item != begin->item; });
  }
}

const Fatigue::Item* Fatigue::Find(ItemNumber item) const {
  const auto at = std::lower_bound(items_.begin(), items_.end(), item,
                                   [](const Item& entry, ItemNumber wanted) { return entry.item < wanted; });
  return at != items_.end() && at->item == item ? &*at : nullptr;
}

double Fatigue::FactorOf(ItemNumber item) const {
  const Item* const found = Find(item);
  return found != nullptr ? found->factor : 1;
}

void Fatigue::AppendReason(ItemNumber item, std::vector<MergeReason>* reasons) const {
  if (const Item* const found = Find(item)) {
    reasons->push_back({.kind = MergeReason::Kind::kFatigue,
                        .cause = found->latest,
                        .causes = found->impressions,
                        .part = static_cast<float>(found->factor)});
  }
}

}  // namespace tributary
