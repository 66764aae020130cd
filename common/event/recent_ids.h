#ifndef TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_
#define TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tributary {

// The last 64 accepted event ids of one user on one partition: what decides whether an event is a duplicate.
// An id counts while it is among the last 64 and not older than 24 h of record time. Record times must not fall from
// call to call. Not thread-safe.
class RecentIds {
 public:
  struct Entry {
    uint64_t hash = 0;
    int64_t record_time_unix_ms = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // `hash` as of HashEventId; 0 (no id) is never a duplicate.
  bool Contains(uint64_t hash, int64_t record_time_unix_ms) const;
  // After the event was accepted. 0 is ignored.
  void Add(uint64_t hash, int64_t record_time_unix_ms);

  bool empty() const { return entries_.empty(); }
  // Oldest first.
  absl::Span<const Entry> entries() const { return entries_; }
  // True when no id is young enough to matter any more.
  bool Expired(int64_t record_time_unix_ms) const;
  // Lets go of the ids that are too old to matter; true when there were any.
  bool DropExpired(int64_t record_time_unix_ms);

 private:
  std::vector<Entry> entries_;  // Oldest first, at most kDedupIds.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_RECENT_IDS_H_
