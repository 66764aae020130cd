#include "serving_layer/requests/windows.h"

#include <algorithm>
#include <map>

#include "common/counts/counts.h"

namespace tributary::serving {
namespace {

constexpr int64_t kQuarterHourSeconds = 15 * 60;

}  // namespace

std::optional<int64_t> FirstCompleteQuarter(const LivePartitions& live) {
  std::optional<int64_t> first;
  for (const LivePartitionState& partition : live.partitions) {
    std::optional<int64_t> gone_until_unix_ms;   // Record time up to which segments may be gone.
    if (partition.segments->empty()) {
      if (partition.applied() > Offset{0}) {
        gone_until_unix_ms = partition.record_time_unix_ms;
      }
    } else if (const auto& [start, segment] = *partition.segments->begin(); start > Offset{0}) {
      gone_until_unix_ms = segment->record_time_unix_ms;   // Of its end: what lies before it is not later.
    }
    if (gone_until_unix_ms) {
      const int64_t quarter = QuarterHour(*gone_until_unix_ms) + 1;
      first = std::max(first.value_or(quarter), quarter);
    }
  }
  return first;
}

void FillWindows(const LivePartitions& live, const v1::WindowsRequest& request, v1::WindowsResponse* response) {
  const CountKey key{.measure = request.measure(), .key = request.key(), .type = request.type()};
  const int64_t first = QuarterHour(request.start().seconds() * 1000 + request.start().nanos() / 1'000'000);
  // The last millisecond before the end, rounded up so that an end within a millisecond counts.
  const int64_t last =
      QuarterHour(request.end().seconds() * 1000 + (request.end().nanos() + 999'999) / 1'000'000 - 1);
  std::map<int64_t, CountAmounts> windows;
  for (const LivePartitionState& partition : live.partitions) {
    for (const auto& [start, segment] : *partition.segments) {
      segment->counts.ForEachQuarter(key, first, last, [&](int64_t quarter, const CountAmounts& amounts) {
        windows[quarter] += amounts;
      });
    }
  }
  for (const auto& [quarter, amounts] : windows) {
    v1::WindowsResponse::Window* const window = response->add_windows();
    window->mutable_start()->set_seconds(quarter * kQuarterHourSeconds);
    window->set_events(amounts.events);
    window->set_quantity_micros(amounts.quantity_micros);
    window->set_value_micros(amounts.value_micros);
  }
  if (const std::optional<int64_t> complete = FirstCompleteQuarter(live)) {
    response->mutable_complete_from()->set_seconds(*complete * kQuarterHourSeconds);
  }
}

}  // namespace tributary::serving
