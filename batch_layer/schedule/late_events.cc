#include "batch_layer/schedule/late_events.h"

#include <algorithm>
#include <utility>

#include "common/status/status_macros.h"

namespace tributary::batch {

LateEvents::LateEvents(OpenLog open, std::string topic, ReadOptions read)
    : open_(std::move(open)), topic_(std::move(topic)), read_(std::move(read)) {}

void LateEvents::StartAt(Offsets from) {
  position_ = std::move(from);
  count_ = 0;
}

absl::StatusOr<std::map<PartitionId, OffsetRange>> LateEvents::Ranges() {
  const auto ask = [this]() -> absl::StatusOr<std::map<PartitionId, OffsetRange>> {
    if (log_ == nullptr) {
      TRIBUTARY_ASSIGN_OR_RETURN(log_, open_());
    }
    std::map<PartitionId, OffsetRange> ranges;
    const absl::StatusOr<int> partitions = log_->PartitionCount(topic_);
    if (absl::IsNotFound(partitions.status())) {
      return ranges;
    }
    TRIBUTARY_RETURN_IF_ERROR(partitions.status());
    for (int i = 0; i < *partitions; ++i) {
      TRIBUTARY_ASSIGN_OR_RETURN(ranges[PartitionId{i}], log_->Offsets({topic_, PartitionId{i}}, read_.isolation));
    }
    return ranges;
  };
  auto ranges = ask();
  if (!ranges.ok()) {
    log_ = nullptr;
  }
  return ranges;
}

absl::Status LateEvents::CountTo(PartitionId partition, const OffsetRange& range, int64_t enough) {
  // Retention may have passed the position; a topic that was made anew ends below it.
  Offset& position = position_[partition];
  position = range.end < position ? range.begin : std::max(position, range.begin);
  ReadOptions read = read_;
  read.stopped = [this, enough] { return count_ > enough || read_.stopped(); };
  const absl::Status status =
      ReadToEnd(*log_, {topic_, partition}, position, range.end, read, [&](const LogRecord& record) {
        ++count_;
        position = Next(record.offset);
        return absl::OkStatus();
      });
  if (status.ok()) {
    position = range.end;
  }
  return absl::IsCancelled(status) && count_ > enough ? absl::OkStatus() : status;
}

absl::StatusOr<int64_t> LateEvents::Count(int64_t enough) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto ranges, Ranges());
  for (const auto& [partition, range] : ranges) {
    if (count_ <= enough) {
      TRIBUTARY_RETURN_IF_ERROR(CountTo(partition, range, enough));
    }
  }
  return count_;
}

absl::StatusOr<LateEvents::Offsets> LateEvents::Ends() {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto ranges, Ranges());
  Offsets ends;
  for (const auto& [partition, range] : ranges) {
    ends[partition] = range.end;
  }
  return ends;
}

}  // namespace tributary::batch
