#include "common/event/recent_ids.h"

#include <algorithm>

#include "common/event/event.h"

namespace tributary {

bool RecentIds::Contains(uint64_t hash, int64_t record_time_unix_ms) const {
  if (hash == 0) return false;
  // Newest first: repeats mostly follow their original closely.
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (record_time_unix_ms - entry->record_time_unix_ms > kDedupWindowMs) return false;
    if (entry->hash == hash) return true;
  }
  return false;
}

void RecentIds::Add(uint64_t hash, int64_t record_time_unix_ms) {
  if (hash == 0) return;
  if (entries_.size() >= kDedupIds) entries_.erase(entries_.begin());
  entries_.push_back({hash, record_time_unix_ms});
}

bool RecentIds::DropExpired(int64_t record_time_unix_ms) {
  const auto young = std::find_if(entries_.begin(), entries_.end(), [=](const Entry& entry) {
    return record_time_unix_ms - entry.record_time_unix_ms <= kDedupWindowMs;
  });
  if (young == entries_.begin()) return false;
  entries_.erase(entries_.begin(), young);
  return true;
}

bool RecentIds::Expired(int64_t record_time_unix_ms) const {
  return entries_.empty() || record_time_unix_ms - entries_.back().record_time_unix_ms > kDedupWindowMs;
}

}  // namespace tributary
