#ifndef TRIBUTARY_COMMON_EVENT_SESSION_H_
#define TRIBUTARY_COMMON_EVENT_SESSION_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tributary {

// What decides the session of one event.
struct SessionEvent {
  int64_t event_time_unix_ms = 0;
  absl::string_view session_id;    // Empty: by gap.
};

// Numbers the sessions of one user's events, which must be sorted by event time. Events with the same session id share
// a session, however far apart; an event without one joins the event without one before it, unless more than 30 min
// of event time lie between the two. result[i] is the session of events[i]: from 0, in the order of first events.
std::vector<int32_t> Sessionize(absl::Span<const SessionEvent> events);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_SESSION_H_
