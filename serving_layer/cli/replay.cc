#include "serving_layer/cli/replay.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

constexpr absl::Duration kFlushTimeout = absl::Seconds(30);

absl::Time TimeOf(const v1::Event& event) {
  return absl::FromUnixSeconds(event.event_time().seconds()) + absl::Nanoseconds(event.event_time().nanos());
}

void SetTime(absl::Time time, v1::Event* event) {
  const int64_t unix_ms = absl::ToUnixMillis(time);
  event->mutable_event_time()->set_seconds(unix_ms / 1000);
  event->mutable_event_time()->set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1'000'000);
}

absl::Status Send(LogProducer& producer, const ProduceRecord& record) {
  absl::Status status = producer.ProduceAsync(record);
  if (absl::IsResourceExhausted(status)) {
    TRIBUTARY_RETURN_IF_ERROR(producer.Flush(kFlushTimeout));
    status = producer.ProduceAsync(record);
  }
  return status;
}

}  // namespace

absl::StatusOr<std::vector<PlannedEvent>> PlanReplay(std::vector<v1::Event> events, const ReplayOptions& options,
                                                     absl::Time start) {
  for (size_t i = 0; i < events.size(); ++i) {
    // Judged as the log would judge it when it comes from its own time.
    const auto checked = ValidateEvent(events[i], absl::ToUnixMillis(TimeOf(events[i])));
    if (const auto* rejection = std::get_if<Rejection>(&checked)) {
      return absl::InvalidArgumentError(absl::StrCat("event refused: event=", i + 1, " field=", rejection->field,
                                                     " reason=\"", rejection->reason, "\""));
    }
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const v1::Event& a, const v1::Event& b) { return TimeOf(a) < TimeOf(b); });
  std::vector<PlannedEvent> planned;
  planned.reserve(events.size());
  if (events.empty()) {
    return planned;
  }
  const absl::Time first = TimeOf(events.front());
  const absl::Time last = TimeOf(events.back());
  for (v1::Event& event : events) {
    const absl::Time time = TimeOf(event);
    const absl::Duration due = options.speed > 0 ? (time - first) / options.speed : absl::ZeroDuration();
    if (options.shift_to_now) {
      SetTime(options.speed > 0 ? start + due : start - (last - time), &event);
    }
    planned.push_back({.event = std::move(event), .due = due});
  }
  return planned;
}

absl::StatusOr<int64_t> Replay(absl::Span<const PlannedEvent> events, const ReplayOptions& options, absl::Time start,
                               EventLog& log, const std::function<void(absl::Time)>& sleep_until,
                               const std::function<void(int64_t)>& progress) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogProducer> producer, log.OpenProducer());
  int64_t sent = 0;
  for (const PlannedEvent& planned : events) {
    if (options.speed > 0) {
      sleep_until(start + planned.due);
    }
    TRIBUTARY_RETURN_IF_ERROR(Send(*producer, {.topic = options.topic,
                                               .key = planned.event.user_id(),
                                               .value = planned.event.SerializeAsString()}));
    progress(++sent);
  }
  TRIBUTARY_RETURN_IF_ERROR(producer->Flush(kFlushTimeout));
  return sent;
}

}  // namespace tributary::serving
