#include "serving_layer/live_state/segment_trends.h"

#include <algorithm>
#include <utility>

namespace tributary::serving {

void SegmentTrends::UserChanged(const std::string& user_id) {
  MutexLock lock(mutex_);
  changed_users_.push_back(user_id);
}

void SegmentTrends::RunOnce(absl::Time now, const ContextPublisher& context) {
  std::vector<std::string> users;
  {
    MutexLock lock(mutex_);
    users.swap(changed_users_);
  }
  std::sort(users.begin(), users.end());
  users.erase(std::unique(users.begin(), users.end()), users.end());
  const int64_t first = QuarterHour(absl::ToUnixMillis(now)) - ItemTrends::kLongestWindowQuarters;
  bool any = false;
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    Quarters& quarters = segment->second;
    const auto kept = quarters.lower_bound(first);
    any |= kept != quarters.begin();
    quarters.erase(quarters.begin(), kept);
    const auto next = std::next(segment);
    if (quarters.empty()) {
      segments_.erase(segment);
    }
    segment = next;
  }
  Changed changed;
  for (const std::string& user_id : users) {
    Counted user;
    {
      EpochGuard guard;
      const UserInfo* const info = context.FindUser(user_id);
      if (info != nullptr && info->consent != v1::CONSENT_NO_TRACKING) {
        user.segment = info->segment;
      }
      if (const LiveUserViews* const views = live_.FindUser(user_id); views != nullptr) {
        user.views = *views;
      }
    }
    const auto before = counted_.find(user_id);
    if (before != counted_.end()) {
      Count(before->second, -1, first, &changed);
    }
    if (user.segment.empty() || user.views.views.empty()) {
      if (before != counted_.end()) {
        counted_.erase(before);
      }
      continue;
    }
    Count(user, +1, first, &changed);
    counted_[user_id] = std::move(user);
  }
  for (auto& [place, deltas] : changed) {
    Quarters& quarters = segments_[place.first];
    const auto known = quarters.find(place.second);
    Quarter quarter = known != quarters.end() ? *known->second : Quarter();
    for (const auto& [item_id, weight] : deltas) {
      if ((quarter[item_id] += weight) == 0) {
        quarter.erase(item_id);
      }
    }
    quarters[place.second] = std::make_shared<const Quarter>(std::move(quarter));
    any = true;
  }
  if (any) {
    published_.Publish(std::make_unique<const Segments>(segments_));
  }
}

void SegmentTrends::Count(const Counted& user, int64_t sign, int64_t first_quarter, Changed* changed) const {
  const auto count = [&](const std::vector<Fact>& facts) {
    for (const Fact& fact : facts) {
      const int64_t weight = ItemTrends::WeightOf(fact.kind);
      const int64_t quarter = QuarterHour(fact.event_time_unix_ms);
      if (weight > 0 && !fact.item_id.empty() && quarter >= first_quarter) {
        (*changed)[{user.segment, quarter}][std::string(fact.item_id)] += sign * weight;
      }
    }
  };
  for (const std::shared_ptr<const LiveView>& view : user.views.views) {
    count(view->facts);
    count(view->recent);
  }
}

ItemTrends::List SegmentTrends::Top(absl::string_view segment, absl::Time now, absl::Duration window) const {
  const Segments* const published = published_.Load();
  const auto found = published == nullptr ? Segments::const_iterator() : published->find(segment);
  if (published == nullptr || found == published->end()) {
    return {};
  }
  const int64_t last = QuarterHour(absl::ToUnixMillis(now));
  absl::flat_hash_map<absl::string_view, int64_t> sums;
  for (auto quarter = found->second.lower_bound(QuarterHour(absl::ToUnixMillis(now - window)));
       quarter != found->second.end() && quarter->first <= last; ++quarter) {
    for (const auto& [item_id, weight] : *quarter->second) {
      sums[item_id] += weight;
    }
  }
  return ItemTrends::Sorted(sums);
}

}  // namespace tributary::serving
