#include "speed_layer/floor_tracker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tributary/v1/snapshot.pb.h"

namespace tributary::speed {

absl::Status FloorTracker::Apply(const LogRecord& record) {
  if (!record.value) {
    retained_.erase(record.key);
    return absl::OkStatus();
  }
  v1::SnapshotAnnouncement announcement;
  if (!announcement.ParseFromString(*record.value) || absl::StrCat(announcement.generation()) != record.key) {
    return absl::InvalidArgumentError(absl::StrFormat("snapshot announcement unreadable: topic=%s offset=%d",
                                                      record.source.topic, Value(record.offset)));
  }
  switch (announcement.status()) {
    case v1::RETIRED:
      retained_.erase(record.key);
      return absl::OkStatus();
    case v1::RETAINED:
    case v1::ACTIVATED: {
      std::map<PartitionId, Watermark> watermarks;
      for (const v1::PartitionWatermark& watermark : announcement.watermarks()) {
        watermarks[PartitionId{watermark.partition()}] = {Offset{watermark.watermark()},
                                                          watermark.record_time_unix_ms()};
      }
      retained_[record.key] = std::move(watermarks);
      return absl::OkStatus();
    }
    default:
      return absl::InvalidArgumentError(absl::StrFormat(
          "snapshot announcement without a known status: generation=%s status=%d", record.key, announcement.status()));
  }
}

Floor FloorTracker::FloorOf(PartitionId partition) const {
  Floor floor;
  bool first = true;
  for (const auto& [generation, watermarks] : retained_) {
    const auto it = watermarks.find(partition);
    const Watermark watermark = it == watermarks.end() ? Watermark{} : it->second;
    if (first || watermark.offset < floor.offset) {
      floor.offset = watermark.offset;
      floor.record_time_unix_ms = watermark.record_time_unix_ms;
    }
    floor.highest_watermark = std::max(floor.highest_watermark, watermark.offset);
    first = false;
  }
  return floor;
}

}  // namespace tributary::speed
