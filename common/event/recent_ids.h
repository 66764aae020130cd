#ifndef TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_
#define TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tributary {

// The last 64 accepted event ids of one user on one partition: what decides whether an event is a duplicate.
// An id counts while it is among the last 64 and not older than 24 h of record time. Record times must not fall from
// call to call. Twelve bytes an id: of the record times the lower half is kept, so ids that are weeks older than the
// latest are let go of. Not thread-safe.
class RecentIds {
 public:
  // `hash` as of HashEventId; 0 (no id) is never a duplicate.
  bool Contains(uint64_t hash, int64_t record_time_unix_ms) const;
  // Room for so many at once, where they are known.
  void Reserve(size_t ids);
  // After the event was accepted. 0 is ignored.
  void Add(uint64_t hash, int64_t record_time_unix_ms);

  bool empty() const { return hashes_.empty(); }
  size_t size() const { return hashes_.size(); }
  // Record time of the first one that is there.
  int64_t oldest_unix_ms() const { return TimeOf(0); }
  // Calls visit(hash, record_time_unix_ms) for each, the oldest first.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t i = 0; i < hashes_.size(); ++i) visit(hashes_[i], TimeOf(i));
  }
  // True when no id is young enough to matter any more.
  bool Expired(int64_t record_time_unix_ms) const;
  // Lets go of the ids that are too old to matter; true when there were any.
  bool DropExpired(int64_t record_time_unix_ms);
  // Brings near what Contains and Add need.
  void Prefetch() const {
    __builtin_prefetch(hashes_.data());
    __builtin_prefetch(lower_times_.data(), 1);
  }
  // What it takes beside itself.
  size_t allocated_bytes() const {
    return hashes_.capacity() * sizeof(uint64_t) + lower_times_.capacity() * sizeof(uint32_t);
  }

 private:
  // How much older than the latest one id is.
  uint64_t AgeMs(size_t index) const {
    return static_cast<uint32_t>(static_cast<uint32_t>(latest_unix_ms_) - lower_times_[index]);
  }
  int64_t TimeOf(size_t index) const {
    return static_cast<int64_t>(static_cast<uint64_t>(latest_unix_ms_) - AgeMs(index));
  }
  void DropFirst(size_t count);

  std::vector<uint64_t> hashes_;       // Oldest first, at most kDedupIds.
  std::vector<uint32_t> lower_times_;  // As many: the lower half of the record time.
  int64_t latest_unix_ms_ = 0;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_
