#include "speed_layer/floor_follower.h"

#include <variant>
#include <vector>

#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::speed {
namespace {

constexpr int kMaxPollEvents = 1000;

}  // namespace

absl::StatusOr<bool> FloorFollower::Poll() {
  if (!reader_) {
    if (absl::Status status = Open(); !status.ok()) {
      reader_.reset();
      return status;
    }
  }
  absl::StatusOr<bool> changed = Read();
  if (!changed.ok()) reader_.reset();
  return changed;
}

absl::Status FloorFollower::Open() {
  behind_.clear();
  TRIBUTARY_ASSIGN_OR_RETURN(reader_, log_.OpenReader(Isolation::kCommitted));
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log_.PartitionCount(topic_));
  for (int partition = 0; partition < partitions; ++partition) {
    const TopicPartition source{topic_, PartitionId{partition}};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(source, Isolation::kUncommitted));
    if (range.begin < range.end) behind_[source] = range.end;
    TRIBUTARY_RETURN_IF_ERROR(reader_->Start(source, range.begin));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> FloorFollower::Read() {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader_->Poll(absl::ZeroDuration(), kMaxPollEvents));
  for (const LogEvent& event : events) {
    if (const LogRecord* record = std::get_if<LogRecord>(&event)) {
      if (absl::Status status = tracker_.Apply(*record); !status.ok()) LOG(ERROR) << "ignored: " << status.message();
    } else if (const EndOfPartition* end = std::get_if<EndOfPartition>(&event)) {
      const auto it = behind_.find(end->source);
      if (it != behind_.end() && end->position >= it->second) behind_.erase(it);
    }
  }
  return !events.empty();
}

}  // namespace tributary::speed
