#include "serving_layer/requests/analytics.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/counts/counts.h"
#include "common/status/status_macros.h"
#include "serving_layer/live_state/floor.h"

namespace tributary::serving {
namespace {

constexpr int64_t kQuarterHourSeconds = 15 * 60;

absl::Status CheckCounted(v1::Measure measure, const RequestView& view) {
  const LoadedSnapshot* const snapshot = view.context.snapshot.get();
  if (snapshot == nullptr) {
    return absl::OkStatus();
  }
  const auto& more = snapshot->reader().manifest().more_measures();
  if (measure > v1::BY_STORE && std::find(more.begin(), more.end(), measure) == more.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot does not count this measure, the next batch run will: measure=", v1::Measure_Name(measure),
                     " generation=", Value(snapshot->generation())));
  }
  return CheckFloor(*snapshot, view.live);
}

// Of a measure that passed CheckCounted.
absl::StatusOr<CountAmounts> TotalOf(const CountKey& key, const RequestView& view, int64_t segment_size) {
  CountAmounts total;
  if (view.context.snapshot != nullptr) {
    v1::CountTotal stored;
    const absl::Status found = view.context.snapshot->reader().FindCount(key, &stored);
    if (found.ok()) {
      total = {.events = stored.events(),
               .quantity_micros = stored.quantity_micros(),
               .value_micros = stored.value_micros()};
    } else if (!absl::IsNotFound(found)) {
      return found;
    }
  }
  static const SegmentCounts* const nothing_cut = new SegmentCounts;
  for (size_t p = 0; p < view.live.partitions.size(); ++p) {
    const PartitionId partition{static_cast<int32_t>(p)};
    const SegmentCounts& cut = view.context.snapshot ? view.context.snapshot->CutCounts(partition) : *nothing_cut;
    for (const auto& [start, segment] : *view.live.partitions[p].segments) {
      const LiveSegment live{.start = start, .applied = segment->order.applied, .counts = &segment->counts};
      total += LiveContribution(live, segment_size, view.context.Watermark(partition), cut, key);
    }
  }
  return total;
}

// Record time up to which the live counts of a partition may lack events; none: they have all. A record tells how far the
// counts had come when it was written: no later than where the next segment begins, unless it is what an aborted transaction
// left of a speed layer that was then started anew, further on.
std::optional<int64_t> MissingUntil(const LivePartitionState& partition, int64_t segment_size) {
  const LiveSegments& segments = *partition.segments;
  if (segments.empty()) {
    return partition.applied() > Offset{0} ? std::optional(partition.record_time_unix_ms) : std::nullopt;
  }
  auto first = std::prev(segments.end());
  const Offset end{Value(first->first) + segment_size};
  if (first->second->order.applied < end && end <= partition.applied()) {
    return partition.record_time_unix_ms;
  }
  while (first != segments.begin() && std::prev(first)->second->order.applied >= first->first) {
    --first;
  }
  const auto& [start, segment] = *first;
  // Of its end: what lies before it is not later.
  return start > Offset{0} ? std::optional(segment->record_time_unix_ms) : std::nullopt;
}

// The first quarter-hour whose events the live counts have all, but for those dated ahead of their record; none: all.
std::optional<int64_t> FirstCompleteQuarter(const LivePartitions& live, int64_t segment_size) {
  std::optional<int64_t> first;
  for (const LivePartitionState& partition : live.partitions) {
    if (const std::optional<int64_t> missing_until_unix_ms = MissingUntil(partition, segment_size)) {
      const int64_t quarter = QuarterHour(*missing_until_unix_ms) + 1;
      first = std::max(first.value_or(quarter), quarter);
    }
  }
  return first;
}

}  // namespace

absl::Status FillTotals(const RequestView& view, int64_t segment_size, const v1::TotalsRequest& request,
                        v1::TotalsResponse* response) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCounted(request.measure(), view));
  std::set<std::string> keys(request.keys().begin(), request.keys().end());
  if (request.measure() == v1::OVERALL) {
    keys.insert("");
  }
  for (const std::string& key : keys) {
    for (int type = v1::EventType_MIN + 1; type <= v1::EventType_MAX; ++type) {
      const CountKey count_key{.measure = request.measure(), .key = key, .type = static_cast<v1::EventType>(type)};
      TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts total, TotalOf(count_key, view, segment_size));
      if (total != CountAmounts()) {
        v1::Total* message = response->add_totals();
        message->set_key(key);
        message->set_type(count_key.type);
        message->set_events(total.events);
        message->set_quantity_micros(total.quantity_micros);
        message->set_value_micros(total.value_micros);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status FillRates(const RequestView& view, int64_t segment_size, absl::Span<const std::string> buckets,
                       v1::ExperimentRatesResponse* response) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCounted(v1::BY_BUCKET, view));
  for (const std::string& bucket : buckets) {
    v1::BucketRates* const rates = response->add_buckets();
    rates->set_bucket(bucket);
    const auto total = [&](v1::EventType type) {
      return TotalOf({.measure = v1::BY_BUCKET, .key = bucket, .type = type}, view, segment_size);
    };
    TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts impressions, total(v1::IMPRESSION));
    TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts clicks, total(v1::CLICK));
    TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts add_to_carts, total(v1::ADD_TO_CART));
    TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts purchases, total(v1::PURCHASE));
    TRIBUTARY_ASSIGN_OR_RETURN(const CountAmounts returns, total(v1::RETURN));
    rates->set_impressions(impressions.events);
    rates->set_clicks(clicks.events);
    rates->set_add_to_carts(add_to_carts.events);
    rates->set_purchases(purchases.events);
    rates->set_returns(returns.events);
    rates->set_purchase_value_micros(purchases.value_micros);
    rates->set_return_value_micros(returns.value_micros);
    if (impressions.events > 0) {
      rates->set_click_rate(static_cast<double>(clicks.events) / static_cast<double>(impressions.events));
      rates->set_purchase_rate(static_cast<double>(purchases.events) / static_cast<double>(impressions.events));
    }
  }
  return absl::OkStatus();
}

void FillWindows(const LivePartitions& live, int64_t segment_size, const v1::WindowsRequest& request,
                 v1::WindowsResponse* response) {
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
  if (const std::optional<int64_t> complete = FirstCompleteQuarter(live, segment_size)) {
    response->mutable_complete_from()->set_seconds(*complete * kQuarterHourSeconds);
  }
}

}  // namespace tributary::serving
