#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_PUBLISHED_EVENT_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_PUBLISHED_EVENT_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/event/event.h"
#include "common/event_log/event_log.h"
#include "tributary/v1/event.pb.h"

// What clients publish, on its way to the log. Pure functions.
namespace tributary::serving {

// Sets the time of arrival where an event has no time, and validates it; none: it is accepted.
std::optional<Rejection> CompleteEvent(absl::Time now, v1::Event* event);

// Partitioned by the key.
ProduceRecord RecordOf(const std::string& topic, const std::string& key, std::optional<std::string> value);

void WritePosition(const EventPosition& position, v1::EventPosition* message);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_PUBLISHED_EVENT_H_
