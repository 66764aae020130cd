#ifndef TRIBUTARY_SERVING_LAYER_CLI_REPLAY_H_
#define TRIBUTARY_SERVING_LAYER_CLI_REPLAY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "tributary/v1/event.pb.h"

namespace tributary::serving {

struct ReplayOptions {
  std::string topic;               // `events`, with its prefix.
  double speed = 1;                // Times real time; 0: as fast as the log takes them.
  bool shift_to_now = false;       // Event times become the times of sending (at speed 0: the last one is now).
};

// An event and when it is to be sent, counted from the start.
struct PlannedEvent {
  v1::Event event;
  absl::Duration due;
};

// Puts events in order of event time (equal times as given) and says when each is due. With shift_to_now the event times
// are those of sending: time runs `speed` times as fast as it did, so that no event lies ahead of its record.
// InvalidArgument names the event (by its place from 1) and the field that would be refused.
absl::StatusOr<std::vector<PlannedEvent>> PlanReplay(std::vector<v1::Event> events, const ReplayOptions& options,
                                                     absl::Time start);

// Sends them when they are due, keyed by user. `sleep_until` waits; `progress` hears of the number sent after each.
absl::StatusOr<int64_t> Replay(absl::Span<const PlannedEvent> events, const ReplayOptions& options, absl::Time start,
                               EventLog& log, const std::function<void(absl::Time)>& sleep_until,
                               const std::function<void(int64_t)>& progress);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_REPLAY_H_
