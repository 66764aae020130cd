#include "serving_layer/requests/published_event.h"

#include <utility>
#include <variant>

namespace tributary::serving {

std::optional<Rejection> CompleteEvent(absl::Time now, v1::Event* event) {
  const int64_t now_unix_ms = absl::ToUnixMillis(now);
  if (!event->has_event_time()) {
    event->mutable_event_time()->set_seconds(now_unix_ms / 1000);
    event->mutable_event_time()->set_nanos(static_cast<int32_t>(now_unix_ms % 1000 * 1000000));
  }
  auto validated = ValidateEvent(*event, now_unix_ms);
  if (auto* rejection = std::get_if<Rejection>(&validated)) {
    return std::move(*rejection);
  }
  return std::nullopt;
}

ProduceRecord RecordOf(const std::string& topic, const std::string& key, std::optional<std::string> value) {
  return {.topic = topic, .partition = std::nullopt, .key = key, .value = std::move(value), .headers = {}};
}

void WritePosition(const EventPosition& position, v1::EventPosition* message) {
  message->set_partition(Value(position.partition));
  message->set_offset(Value(position.offset));
}

}  // namespace tributary::serving
