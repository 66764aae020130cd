#include "serving_layer/requests/forget_report.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/event/event.h"
#include "common/event_log/topics.h"

namespace tributary::serving {
namespace {

constexpr int64_t kMaxUnixMs = 253'402'300'799'000;  // The end of the year 9999.

bool Counts(const v1::SnapshotManifest& manifest, const EventPosition& position) {
  return std::any_of(
      manifest.watermarks().begin(), manifest.watermarks().end(), [&](const v1::PartitionWatermark& mark) {
        return mark.partition() == Value(position.partition) && Value(position.offset) < mark.watermark();
      });
}

}  // namespace

std::string EncodeReportId(const ForgetPosition& forget) {
  return absl::StrCat(Value(forget.position.partition), ":", Value(forget.position.offset), ":",
                      forget.event_time_unix_ms);
}

absl::StatusOr<ForgetPosition> DecodeReportId(absl::string_view report_id) {
  const std::vector<absl::string_view> parts = absl::StrSplit(report_id, absl::MaxSplits(':', 3));
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t time = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &partition) || !absl::SimpleAtoi(parts[1], &offset) ||
      !absl::SimpleAtoi(parts[2], &time) || partition < 0 || offset < 0 || time < 0 || time > kMaxUnixMs) {
    return absl::InvalidArgumentError("report_id is not one that ForgetUser answered");
  }
  return ForgetPosition{.position = {PartitionId{partition}, Offset{offset}}, .event_time_unix_ms = time};
}

v1::GetForgetReportResponse ReportForgotten(const ForgetPosition& forget,
                                            const std::vector<v1::SnapshotManifest>& manifests,
                                            const LivePartitions& live, const v1::Config& config, absl::Time now) {
  v1::GetForgetReportResponse response;
  const auto add = [&](absl::string_view name, std::optional<absl::Time> until, absl::string_view when) {
    auto* place = response.add_places();
    place->set_name(std::string(name));
    if (until) {
      place->mutable_until()->set_seconds(absl::ToUnixSeconds(*until));
    }
    place->set_when(std::string(when));
  };
  bool counted = false;
  for (const v1::SnapshotManifest& manifest : manifests) {
    if (Counts(manifest, forget.position)) {
      counted = true;
    } else {
      add(absl::StrCat("snapshot ", manifest.generation()), std::nullopt, "it is retired, as newer ones pass the gate");
    }
  }
  const auto p = static_cast<size_t>(Value(forget.position.partition));
  if (p >= live.partitions.size() || live.partitions[p].applied() <= forget.position.offset) {
    add("live view", std::nullopt, "the speed layer has read the FORGET");
  } else if (live.partitions[p].floor() <= forget.position.offset) {
    add("live view, hidden", std::nullopt, "every snapshot from before it is retired");
  }
  const absl::Time forgotten = absl::FromUnixMillis(forget.event_time_unix_ms);
  if (!counted) {
    add("history", std::nullopt, "the next batch run");
  } else if (const absl::Time until = forgotten + absl::Milliseconds(kDedupWindowMs); now < until) {
    add("history", until, "the first batch run after it: until then ids of the last day refuse repeats");
  }
  const absl::Time retained = forgotten + absl::Hours(config.kafka().retention_hours());
  if (now < retained) {
    const Topics topics(config.kafka().topic_prefix());
    add(absl::StrCat("topics ", topics.events, ", ", topics.dead_letters, ", ", topics.late_events), retained,
        "about then by kafka.retention_hours of events; the others' retention is the cluster's");
  }
  response.set_done(response.places().empty());
  return response;
}

}  // namespace tributary::serving
