#include "common/event/session.h"

#include <optional>

#include "absl/container/flat_hash_map.h"
#include "common/event/event.h"

namespace tributary {

std::vector<int32_t> Sessionize(absl::Span<const SessionEvent> events) {
  struct OpenSession {
    int32_t number = 0;
    int64_t last_event_time_unix_ms = 0;
  };
  std::vector<int32_t> sessions;
  sessions.reserve(events.size());
  absl::flat_hash_map<absl::string_view, int32_t> by_id;
  std::optional<OpenSession> by_gap;
  int32_t next = 0;
  for (const SessionEvent& event : events) {
    if (!event.session_id.empty()) {
      const auto [session, is_new] = by_id.try_emplace(event.session_id, next);
      if (is_new) ++next;
      sessions.push_back(session->second);
      continue;
    }
    if (!by_gap || event.event_time_unix_ms - by_gap->last_event_time_unix_ms > kSessionGapMs) {
      by_gap = OpenSession{next++};
    }
    by_gap->last_event_time_unix_ms = event.event_time_unix_ms;
    sessions.push_back(by_gap->number);
  }
  return sessions;
}

}  // namespace tributary
