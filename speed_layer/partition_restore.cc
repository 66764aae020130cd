#include "speed_layer/partition_restore.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "common/status/status_macros.h"
#include "common/wire/wire.h"

namespace tributary::speed {
namespace {

constexpr int64_t kSpillShare = 10;  // Of the budget, at a time.

// What comes before the deltas, which we write last, are most of it, and are wanted of few segments. All when it has
// another form.
absl::string_view BeforeDeltas(absl::string_view bytes) {
  wire::Reader reader(bytes);
  while (!reader.done()) {
    const size_t begin = bytes.size() - reader.left();
    char tag = 0;
    uint64_t number = 0;
    absl::string_view content;
    reader.ReadByte(&tag);
    switch (tag) {
      case wire::LengthTag(v1::LiveCounts::kDeltasFieldNumber):
        return bytes.substr(0, begin);
      case wire::LengthTag(v1::LiveCounts::kPositionFieldNumber):
        if (!reader.ReadText(&content)) return bytes;
        break;
      case wire::VarintTag(v1::LiveCounts::kSegmentStartFieldNumber):
      case wire::VarintTag(v1::LiveCounts::kRecordTimeUnixMsFieldNumber):
        if (!reader.ReadVarint(&number)) return bytes;
        break;
      default:
        return bytes;
    }
  }
  return bytes;
}

}  // namespace

absl::Status PartitionRestore::Add(const LogRecord& record) {
  ++records_;
  if (record.source.topic == settings_->topics.live_counts) return AddCounts(record);
  if (record.key != kProgressKey) return AddView(record);
  v1::Progress progress;
  if (!record.value || !progress.ParseFromString(*record.value)) return Unreadable(record, "not a progress record");
  progress_ = std::move(progress);
  return absl::OkStatus();
}

absl::Status PartitionRestore::AddView(const LogRecord& record) {
  bool loaded = false;
  TRIBUTARY_ASSIGN_OR_RETURN(UserEntry* const entry, users_.Load(record.key, &loaded));
  if (!record.value) {
    users_.Erase(record.key);
    return absl::OkStatus();
  }
  absl::StatusOr<LiveUser> user = LiveUser::FromBytes(*record.value);
  if (!user.ok()) return Unreadable(record, user.status().message());
  const LiveUser::Untrimmed untrimmed = user->untrimmed();
  untrimmed_.floor = std::min(untrimmed_.floor, untrimmed.floor);
  untrimmed_.record_time_unix_ms = std::min(untrimmed_.record_time_unix_ms, untrimmed.record_time_unix_ms);
  entry->user = *std::move(user);
  entry->published = true;
  users_.Count(*entry);
  if (users_.bytes() > budget_bytes_ &&
      !users_.Spill(users_.bytes() - budget_bytes_ + budget_bytes_ / kSpillShare).ok()) {
    budget_bytes_ = std::numeric_limits<int64_t>::max();  // Whoever takes over tries again, and says so.
  }
  return absl::OkStatus();
}

absl::Status PartitionRestore::AddCounts(const LogRecord& record) {
  int64_t start = 0;
  if (!absl::SimpleAtoi(record.key, &start) || start < 0) return Unreadable(record, "key is not a segment start");
  if (start % settings_->segment_size != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "live counts were written with another segment size: topic=%s partition=%d segment_start=%d segment_size=%d",
        record.source.topic, Value(partition_), start, settings_->segment_size));
  }
  if (!record.value) {
    segments_.erase(Offset{start});
    return absl::OkStatus();
  }
  const absl::string_view before_deltas = BeforeDeltas(*record.value);
  v1::LiveCounts message;
  bool readable = message.ParseFromArray(before_deltas.data(), static_cast<int>(before_deltas.size()));
  // A segment that was closed never opens again: of most segments only the start is kept.
  const auto is_open = [&] { return message.position().applied_offset() < start + settings_->segment_size; };
  if (readable && is_open()) readable = message.ParseFromString(*record.value);
  if (!readable) return Unreadable(record, "not live counts");
  absl::StatusOr<SegmentTally> counts = is_open() ? SegmentTally::FromProto(message) : SegmentTally();
  if (!counts.ok()) return Unreadable(record, counts.status().message());
  segments_[Offset{start}] = {.counts = *std::move(counts),
                              .applied = Offset{message.position().applied_offset()},
                              .record_time_unix_ms = message.record_time_unix_ms()};
  return absl::OkStatus();
}

absl::Status PartitionRestore::Unreadable(const LogRecord& record, absl::string_view why) const {
  return absl::DataLossError(absl::StrFormat("state record unreadable: topic=%s partition=%d offset=%d cause=\"%s\"",
                                             record.source.topic, Value(record.source.partition), Value(record.offset),
                                             why));
}

absl::StatusOr<PartitionStart> PartitionRestore::Finish(const OffsetRange& events, const Floor& floor,
                                                        int32_t group_generation) {
  const Offset applied{progress_ ? progress_->position().applied_offset() : 0};
  const Offset known = std::max(applied, floor.highest_watermark);
  if (events.end < known) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "events end below what was already read, the topic was created anew: topic=%s partition=%d end=%d applied=%d "
        "highest_watermark=%d",
        settings_->topics.events, Value(partition_), Value(events.end), Value(applied),
        Value(floor.highest_watermark)));
  }

  PartitionStart start;
  start.users = std::move(users_);
  start.untrimmed = untrimmed_;
  if (progress_) start.progress = *std::move(progress_);
  v1::ViewPosition& position = *start.progress.mutable_position();
  position.set_group_generation(std::max(position.group_generation(), group_generation));
  for (auto& [segment_start, segment] : segments_) {
    if (Value(segment.applied) < Value(segment_start) + settings_->segment_size) {
      start.open_segments.emplace(
          segment_start, PartitionStart::Segment{.counts = std::move(segment.counts), .applied = segment.applied});
    } else {
      start.closed_segments.emplace(segment_start, segment.record_time_unix_ms);
    }
  }
  segments_.clear();

  // Without progress everything below the floor's segment is in every snapshot; of its counts only the last 24 h matter.
  Offset wanted = applied;
  if (applied == Offset{0} && floor.offset > Offset{0}) {
    start.old_before_offset = SegmentStart(floor.offset, settings_->segment_size);
    start.old_before_unix_ms = floor.record_time_unix_ms - kRecentFactMs;
    wanted = start.old_before_offset;
  }
  if (events.begin > wanted) {
    start.progress.set_gap_end_offset(Value(events.begin));
    start.progress.set_accepted(0);
    start.progress.set_duplicates(0);
    start.progress.set_dead_lettered(0);
    start.progress.set_late(0);
    start.unwritten = true;
  }
  if (events.begin > applied) position.set_applied_offset(Value(events.begin));
  return start;
}

}  // namespace tributary::speed
