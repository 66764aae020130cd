#include "common/event/recent_ids.h"

#include <algorithm>
#include <limits>

#include "common/event/event.h"

namespace tributary {
namespace {

constexpr uint64_t kWindowMs = kDedupWindowMs;

// Unsigned, since what comes from outside may be at the ends of int64.
uint64_t Since(int64_t later, int64_t earlier) {
  return later < earlier ? 0 : static_cast<uint64_t>(later) - static_cast<uint64_t>(earlier);
}

// Grows by little: most users have few ids, and there are many users.
template <typename T>
void Append(T value, std::vector<T>* to) {
  if (to->size() == to->capacity()) to->reserve(std::min(kDedupIds, to->size() + std::max<size_t>(4, to->size() / 4)));
  to->push_back(value);
}

}  // namespace

bool RecentIds::Contains(uint64_t hash, int64_t record_time_unix_ms) const {
  if (hash == 0) return false;
  // Without a way out of the loop the compiler compares several at once; that there is one is rare.
  bool found = false;
  for (const uint64_t known : hashes_) found |= known == hash;
  if (!found) return false;
  for (size_t i = hashes_.size(); i-- > 0;) {
    if (hashes_[i] != hash) continue;
    return Since(record_time_unix_ms, latest_unix_ms_) + AgeMs(i) <= kWindowMs;
  }
  return false;
}

void RecentIds::Reserve(size_t ids) {
  hashes_.reserve(std::min(ids, kDedupIds));
  lower_times_.reserve(std::min(ids, kDedupIds));
}

void RecentIds::Add(uint64_t hash, int64_t record_time_unix_ms) {
  if (hash == 0) return;
  if (!hashes_.empty()) {
    const uint64_t step = Since(record_time_unix_ms, latest_unix_ms_);
    size_t first = hashes_.size() >= kDedupIds ? 1 : 0;
    while (first < hashes_.size() && step + AgeMs(first) > std::numeric_limits<uint32_t>::max()) ++first;
    DropFirst(first);
  }
  Append(hash, &hashes_);
  Append(static_cast<uint32_t>(record_time_unix_ms), &lower_times_);
  latest_unix_ms_ = record_time_unix_ms;
}

void RecentIds::DropFirst(size_t count) {
  if (count == 0) return;
  hashes_.erase(hashes_.begin(), hashes_.begin() + static_cast<ptrdiff_t>(count));
  lower_times_.erase(lower_times_.begin(), lower_times_.begin() + static_cast<ptrdiff_t>(count));
}

bool RecentIds::DropExpired(int64_t record_time_unix_ms) {
  const uint64_t step = Since(record_time_unix_ms, latest_unix_ms_);
  size_t first = 0;
  while (first < hashes_.size() && step + AgeMs(first) > kWindowMs) ++first;
  DropFirst(first);
  return first > 0;
}

bool RecentIds::Expired(int64_t record_time_unix_ms) const {
  return hashes_.empty() || Since(record_time_unix_ms, latest_unix_ms_) > kWindowMs;
}

}  // namespace tributary
