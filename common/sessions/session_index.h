#ifndef TRIBUTARY_COMMON_SESSIONS_SESSION_INDEX_H_
#define TRIBUTARY_COMMON_SESSIONS_SESSION_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"

namespace tributary {

// Past sessions as flat arrays, for session neighbours (session_neighbours.h). Borrows.
//
// Sessions are numbered by time, the oldest first. `session_items`: of session s the places [session_offsets[s],
// session_offsets[s + 1]), in the order of the session, each item once, where it was seen last. `item_sessions`: of
// item i likewise by item_offsets, the sessions that have it, the newest first, as many as were kept.
struct SessionIndex {
  absl::Span<const uint64_t> session_offsets;       // Sessions + 1; at least one.
  absl::Span<const int64_t> session_times_unix_ms;  // Of its latest event; never falls.
  absl::Span<const uint32_t> session_items;
  absl::Span<const uint64_t> item_offsets;  // Items + 1; at least one.
  absl::Span<const uint32_t> item_sessions;
  absl::Span<const uint32_t> item_counts;  // By item: how many sessions have it, kept or not.

  uint32_t sessions() const { return static_cast<uint32_t>(session_times_unix_ms.size()); }
  uint32_t items() const { return static_cast<uint32_t>(item_counts.size()); }
  absl::Span<const uint32_t> ItemsOf(uint32_t session) const {
    const uint64_t begin = session_offsets[session];
    return session_items.subspan(begin, session_offsets[session + 1] - begin);
  }
  absl::Span<const uint32_t> SessionsOf(uint32_t item) const {
    const uint64_t begin = item_offsets[item];
    return item_sessions.subspan(begin, item_offsets[item + 1] - begin);
  }
};

// One session's items, the oldest first, with repeats.
struct PastSession {
  static constexpr uint32_t kNobody = 0xffffffff;

  int64_t time_unix_ms = 0;
  std::vector<uint32_t> items;
  uint32_t user = kNobody;   // As its maker numbers users; an index has none.
};

// The arrays of an index. Immutable once built.
class SessionIndexArrays {
 public:
  // Sessions in any order; of equal time the one given first is older. Items lie below `items`. Sessions of less than
  // two different items say nothing of neighbours and are left out, of longer ones the latest kLongestSession items
  // count. Of an item's sessions the newest `sessions_per_item` are kept.
  static SessionIndexArrays Build(std::vector<PastSession> sessions, uint32_t items, size_t sessions_per_item);
  static constexpr size_t kLongestSession = 200;  // Robots are longer.

  SessionIndex index() const;

 private:
  std::vector<uint64_t> session_offsets_ = {0};
  std::vector<int64_t> session_times_unix_ms_;
  std::vector<uint32_t> session_items_;
  std::vector<uint64_t> item_offsets_ = {0};
  std::vector<uint32_t> item_sessions_;
  std::vector<uint32_t> item_counts_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SESSIONS_SESSION_INDEX_H_
