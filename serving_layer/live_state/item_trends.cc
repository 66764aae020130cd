#include "serving_layer/live_state/item_trends.h"

#include <algorithm>

namespace tributary::serving {
namespace {

// Lists that are kept until something changes: one for each window that is asked for.
constexpr size_t kMaxLists = 200;

}  // namespace

int64_t ItemTrends::WeightOf(v1::EventType type) {
  switch (type) {
    case v1::VIEW:
    case v1::CLICK:
      return 1;
    case v1::LIKE:
      return 2;
    case v1::ADD_TO_CART:
      return 3;
    case v1::PURCHASE:
      return 5;
    default:
      return 0;
  }
}

ItemTrends::List ItemTrends::Sorted(const absl::flat_hash_map<absl::string_view, int64_t>& sums) {
  std::vector<std::pair<absl::string_view, int64_t>> sorted(sums.begin(), sums.end());
  const size_t kept = std::min(sorted.size(), kLongestList);
  std::partial_sort(
      sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(kept), sorted.end(),
      [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
  List list;
  for (size_t i = 0; i < kept; ++i) {
    list.emplace_back(std::string(sorted[i].first), sorted[i].second);
  }
  return list;
}

void ItemTrends::RunOnce(absl::Time now) {
  std::vector<std::shared_ptr<const LiveSegments>> live;
  {
    EpochGuard guard;
    for (const LivePartitionState& partition : live_.partitions().partitions) {
      live.push_back(partition.segments);
    }
  }
  {
    MutexLock lock(mutex_);
    first_quarter_ = std::max(first_quarter_, QuarterHour(absl::ToUnixMillis(now)) - kLongestWindowQuarters);
    quarters_.erase(quarters_.begin(), quarters_.lower_bound(first_quarter_));
  }
  counted_.resize(std::max(counted_.size(), live.size()));
  for (size_t p = 0; p < live.size(); ++p) {
    // Both are in the order of segments.
    LiveSegments& before = counted_[p];
    auto old = before.begin();
    bool changed = false;
    const auto drop_below = [&](const Offset* start) {
      while (old != before.end() && (start == nullptr || old->first < *start)) {
        Count(old->second->counts, -1);
        changed = true;
        ++old;
      }
    };
    for (const auto& [start, segment] : *live[p]) {
      drop_below(&start);
      if (old != before.end() && old->first == start) {
        if (old->second == segment) {
          ++old;
          continue;
        }
        Count(old->second->counts, -1);
        ++old;
      }
      Count(segment->counts, +1);
      changed = true;
    }
    drop_below(nullptr);
    if (changed) {
      before = *live[p];
    }
  }
}

void ItemTrends::Count(const SegmentCounts& counts, int64_t sign) {
  MutexLock lock(mutex_);
  lists_.clear();
  const int64_t first = first_quarter_;
  std::map<int64_t, Quarter>& quarters = quarters_;
  counts.ForEach([&](const CountKey& key, int64_t quarter_hour, const CountAmounts& amounts) {
    const int64_t weight = key.measure == v1::BY_ITEM ? WeightOf(key.type) : 0;
    if (weight == 0 || quarter_hour < first) {
      return;
    }
    Quarter& quarter = quarters[quarter_hour];
    const auto item = quarter.try_emplace(key.key, 0).first;
    item->second += sign * weight * amounts.events;
    if (item->second == 0) {
      quarter.erase(item);
    }
  });
}

void ItemTrends::Resolve(absl::Time now, const ContextPublisher& context) {
  const std::shared_ptr<const List> top = Top(now, kLadderWindow);
  ServedContexts contexts;
  {
    EpochGuard guard;
    contexts = context.contexts();
  }
  auto resolved = std::make_unique<std::vector<ForLadder>>();
  const auto resolve = [&](const ServingContext& of) {
    std::vector<ScoredItem>& list = resolved->emplace_back(ForLadder{.snapshot = of.snapshot, .list = {}}).list;
    for (size_t i = 0; i < top->size() && list.size() < kLadderLength; ++i) {
      if (const std::optional<ItemNumber> item = of.catalogue->Find((*top)[i].first)) {
        list.push_back({*item, static_cast<float>((*top)[i].second)});
      }
    }
  };
  resolve(contexts.current);
  if (contexts.other) {
    resolve(*contexts.other);
  }
  for_ladder_.Publish(std::move(resolved));
}

std::shared_ptr<const ItemTrends::List> ItemTrends::Top(absl::Time now, absl::Duration window) {
  const std::pair<int64_t, int64_t> range = {QuarterHour(absl::ToUnixMillis(now - window)),
                                             QuarterHour(absl::ToUnixMillis(now))};
  MutexLock lock(mutex_);
  if (const auto found = lists_.find(range); found != lists_.end()) {
    return found->second;
  }
  absl::flat_hash_map<absl::string_view, int64_t> sums;
  for (auto quarter = quarters_.lower_bound(range.first); quarter != quarters_.end() && quarter->first <= range.second;
       ++quarter) {
    for (const auto& [item_id, weight] : quarter->second) {
      sums[item_id] += weight;
    }
  }
  const auto list = std::make_shared<const List>(Sorted(sums));
  if (lists_.size() >= kMaxLists) {
    lists_.clear();
  }
  lists_[range] = list;
  return list;
}

}  // namespace tributary::serving
