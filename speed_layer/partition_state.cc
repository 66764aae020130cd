#include "speed_layer/partition_state.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "glog/logging.h"

namespace tributary::speed {
namespace {

constexpr size_t kPrefetchAhead = 6;  // Users.

bool IsDecision(v1::EventType kind) {
  return kind == v1::PURCHASE || kind == v1::RETURN || kind == v1::LIKE || kind == v1::DISLIKE || kind == v1::RATING ||
         kind == v1::FORGET;
}

// Drops the impressions, and the oldest facts until the view fits: those that decide nothing first.
void BoundBytes(v1::SpeedView* view) {
  view->clear_impressions();
  size_t bytes = view->ByteSizeLong();
  for (const bool decisions_too : {false, true}) {
    google::protobuf::RepeatedPtrField<v1::Fact> kept;
    for (v1::Fact& fact : *view->mutable_facts()) {
      if (bytes > kMaxViewBytes && (decisions_too || !IsDecision(fact.kind()))) {
        bytes -= std::min(bytes, fact.ByteSizeLong());
        // A view that is truncated up to an unknown end stays so.
        if (!view->truncated() || view->truncated_end_offset() > 0) {
          view->set_truncated_end_offset(std::max(view->truncated_end_offset(), fact.offset() + 1));
        }
        view->set_truncated(true);
      } else {
        kept.Add(std::move(fact));
      }
    }
    view->mutable_facts()->Swap(&kept);
  }
}

// Drops the counters with the longest keys until the message fits.
void BoundBytes(v1::LiveCounts* counts) {
  size_t bytes = counts->ByteSizeLong();
  if (bytes <= kMaxCountsBytes) return;
  std::vector<std::pair<size_t, int>> by_length;
  for (int i = 0; i < counts->deltas_size(); ++i) by_length.emplace_back(counts->deltas(i).key().size(), i);
  std::sort(by_length.rbegin(), by_length.rend());
  std::vector<bool> dropped(by_length.size());
  int count = 0;
  for (const auto& [length, index] : by_length) {
    if (bytes <= kMaxCountsBytes) break;
    bytes -= std::min(bytes, counts->deltas(index).ByteSizeLong());
    dropped[index] = true;
    ++count;
  }
  google::protobuf::RepeatedPtrField<v1::CountDelta> kept;
  for (int i = 0; i < counts->deltas_size(); ++i) {
    if (!dropped[i]) kept.Add(std::move(*counts->mutable_deltas(i)));
  }
  counts->mutable_deltas()->Swap(&kept);
  LOG_EVERY_T(ERROR, 60) << "live counts too large for a record, longest keys dropped: segment_start="
                         << counts->segment_start() << " dropped=" << count;
}

// The bytes of a message that is too long for a record, made to fit.
template <typename Message>
std::string Bounded(const std::string& bytes) {
  Message message;
  CHECK(message.ParseFromString(bytes)) << "what we write is a " << Message::descriptor()->name();
  BoundBytes(&message);
  return message.SerializeAsString();
}

}  // namespace

PartitionState::PartitionState(const PartitionSettings& settings, PartitionId partition, PartitionStart start)
    : settings_(settings),
      partition_(partition),
      progress_(std::move(start.progress)),
      written_applied_(Offset{progress_.position().applied_offset()}),
      written_floor_(Offset{progress_.position().floor()}),
      unwritten_(start.unwritten),
      users_(std::move(start.users)),
      open_segments_(std::move(start.open_segments)),
      closed_segments_(std::move(start.closed_segments)),
      old_before_offset_(start.old_before_offset),
      old_before_unix_ms_(start.old_before_unix_ms) {
  progress_.set_instance(settings_.instance);
  // The predecessor may have stopped in the middle of a sweep. A look at a million users, though, is a good part of what a
  // restart costs.
  const bool all_trimmed = floor() <= start.untrimmed.floor &&
                           record_time_unix_ms() - start.untrimmed.record_time_unix_ms <= kRecentFactMs;
  if (all_trimmed) {
    trim_shard_ = UserTable::kShards;
    spilled_trim_ = SpilledTrim::kDone;
  }
}

ApplyOutcome PartitionState::Apply(const LogRecord& record) {
  ApplyOutcome outcome;
  if (record.offset < applied() || !failure_.ok()) return outcome;
  const Offset before = applied();
  AdvanceTo(Next(record.offset));
  last_append_time_unix_ms_ = record.append_time_unix_ms;
  progress_.set_record_time_unix_ms(std::max(progress_.record_time_unix_ms(), record.append_time_unix_ms));
  if (IsOld(record)) {
    passed_old_ = true;
  } else if (!count_from_) {
    // The beginning is younger than 24 h before the floor: retention took a part of what sessions and ids rest on.
    if (!passed_old_ && record.offset < old_before_offset_ && before > Offset{0})
      progress_.set_gap_end_offset(Value(before));
    const int64_t floor_segment = Value(SegmentStart(old_before_offset_, settings_.segment_size));
    const int64_t whole_segment =
        Value(SegmentStart(Offset{Value(record.offset) + settings_.segment_size - 1}, settings_.segment_size));
    count_from_ =
        Value(record.offset) <= floor_segment ? Offset{std::min(whole_segment, floor_segment)} : record.offset;
  }

  const int64_t record_time = progress_.record_time_unix_ms();
  auto parsed = ParseEvent(record.value ? absl::string_view(*record.value) : absl::string_view(), record_time);
  if (const Rejection* rejection = std::get_if<Rejection>(&parsed)) {
    outcome.kind = ApplyOutcome::Kind::kRejected;
    progress_.set_dead_lettered(progress_.dead_lettered() + 1);
    v1::DeadLetter& letter = outcome.dead_letter.emplace();
    letter.mutable_source()->set_partition(Value(partition_));
    letter.mutable_source()->set_offset(Value(record.offset));
    letter.set_source_topic(record.source.topic);
    letter.set_cause(rejection->cause);
    letter.set_field(rejection->field);
    letter.set_reason(rejection->reason);
    letter.set_original_key(record.key);
    if (record.value) letter.set_original_value(*record.value);
    letter.set_record_time_unix_ms(record_time);
    return outcome;
  }

  const Event& event = std::get<Event>(parsed);
  bool loaded = false;
  const absl::StatusOr<UserEntry*> found = users_.Load(event.user_id, &loaded);
  if (!found.ok()) {
    failure_ = found.status();
    return outcome;
  }
  UserEntry& entry = **found;
  if (loaded) WelcomeBack(entry);
  if (entry.user.Apply(event, record.offset, record_time, settings_.limits) == LiveUser::Outcome::kDuplicate) {
    outcome.kind = ApplyOutcome::Kind::kDuplicate;
    progress_.set_duplicates(progress_.duplicates() + 1);
    return outcome;
  }
  outcome.kind = ApplyOutcome::Kind::kAccepted;
  progress_.set_accepted(progress_.accepted() + 1);
  if (record.offset < floor()) entry.user.Trim(floor(), record_time);
  Count(record.offset, event);
  if (entry.user.empty() && !entry.published && !entry.changed) {
    users_.Erase(event.user_id);  // An impression without an id leaves nothing to remember.
  } else {
    const bool kept = GivesFact(event.type) || (event.type == v1::IMPRESSION && settings_.limits.impressions > 0);
    if (event.event_id_hash != 0 || kept) MarkChanged(entry);
    users_.Count(entry);
  }
  const int64_t lateness_ms = record_time - event.event_time_unix_ms;
  if (lateness_ms > absl::ToInt64Milliseconds(settings_.allowed_lateness)) {
    progress_.set_late(progress_.late() + 1);
    v1::LateEvent& late = outcome.late.emplace();
    late.mutable_source()->set_partition(Value(partition_));
    late.mutable_source()->set_offset(Value(record.offset));
    *late.mutable_event() = ToProto(event);
    late.set_lateness_ms(lateness_ms);
  }
  return outcome;
}

void PartitionState::LoadAhead(absl::Span<const absl::string_view> keys) {
  failure_.Update(users_.LoadAhead(keys, [this](UserEntry& entry) { WelcomeBack(entry); }));
}

// The floor may have risen, and the sweep over those in memory passed, while it was away.
void PartitionState::WelcomeBack(UserEntry& entry) {
  ++loads_;
  if (!entry.user.Trim(floor(), record_time_unix_ms())) return;
  MarkChanged(entry);
  users_.Count(entry);
}

bool PartitionState::IsOld(const LogRecord& record) const {
  return record.offset < old_before_offset_ && progress_.record_time_unix_ms() < old_before_unix_ms_;
}

void PartitionState::AdvanceTo(Offset position) {
  if (position > applied()) progress_.mutable_position()->set_applied_offset(Value(position));
}

void PartitionState::JoinGeneration(int32_t group_generation) {
  v1::ViewPosition& position = *progress_.mutable_position();
  position.set_group_generation(std::max(position.group_generation(), group_generation));
}

void PartitionState::RaiseFloor(Offset floor_offset) {
  if (floor_offset <= floor()) return;
  progress_.mutable_position()->set_floor(Value(floor_offset));
  trim_shard_ = 0;
  spilled_trim_ = SpilledTrim::kFromTheBeginning;
}

bool PartitionState::TrimSome() {
  for (size_t looked_at = 0; trim_shard_ < UserTable::kShards && looked_at < kTrimUsers; ++trim_shard_) {
    users_.VisitShard(trim_shard_, [this](UserEntry& entry) {
      if (!entry.user.Trim(floor(), record_time_unix_ms())) return;
      MarkChanged(entry);
      users_.Count(entry);
    });
    looked_at += users_.shard_size(trim_shard_);
  }
  if (trim_shard_ < UserTable::kShards) return true;
  if (spilled_trim_ == SpilledTrim::kDone) return false;
  const absl::StatusOr<bool> more = users_.VisitSpilled(
      spilled_trim_ == SpilledTrim::kFromTheBeginning,
      [this](LiveUser& user) { return user.Trim(floor(), record_time_unix_ms()); },
      [this](UserEntry& entry) { MarkChanged(entry); });
  failure_.Update(more.status());
  spilled_trim_ = more.ok() && *more ? SpilledTrim::kUnderWay : SpilledTrim::kDone;
  return spilled_trim_ != SpilledTrim::kDone;
}

bool PartitionState::dirty() const {
  return unwritten_ || !changed_.empty() || applied() != written_applied_ || floor() != written_floor_;
}

void PartitionState::TakeChanges(Sink sink) {
  if (!dirty()) return;
  const std::string position = PositionField();
  for (size_t i = 0; i < changed_.size(); ++i) {
    if (i + 2 * kPrefetchAhead < changed_.size()) UserTable::PrefetchEntry(changed_[i + 2 * kPrefetchAhead]);
    if (i + kPrefetchAhead < changed_.size()) changed_[i + kPrefetchAhead]->user.Prefetch();
    UserEntry* entry = changed_[i];  // Kept until now: only what has not changed is erased.
    entry->changed = false;
    entry->user.Trim(floor(), record_time_unix_ms());
    if (!entry->user.empty()) {
      sink(ViewRecord(*entry, position));
      entry->published = true;
      users_.Count(*entry);
      continue;
    }
    if (entry->published) sink(Tombstone(settings_.topics.speed_views, entry->user_id));
    users_.Erase(entry->user_id);
  }
  changed_.clear();
  sink({.topic = settings_.topics.speed_views,
        .partition = partition_,
        .key = std::string(kProgressKey),
        .value = progress_.SerializeAsString()});
  written_applied_ = applied();
  written_floor_ = floor();
  unwritten_ = false;
}

void PartitionState::TakeCounts(Sink sink) {
  for (auto it = open_segments_.begin(); it != open_segments_.end();) {
    auto& [start, segment] = *it;
    const Offset end{Value(start) + settings_.segment_size};
    if (segment.applied < std::min(applied(), end)) {
      v1::LiveCounts message;
      *message.mutable_position() = progress_.position();
      message.set_segment_start(Value(start));
      message.set_record_time_unix_ms(record_time_unix_ms());
      std::string bytes = message.SerializeAsString();
      if (segment.deltas.empty()) {
        segment.counts.AppendBytes(&bytes);
      } else {
        bytes += segment.deltas;
      }
      if (bytes.size() > kMaxCountsBytes) bytes = Bounded<v1::LiveCounts>(bytes);
      sink({.topic = settings_.topics.live_counts,
            .partition = partition_,
            .key = absl::StrCat(Value(start)),
            .value = std::move(bytes)});
      segment.applied = applied();
    }
    if (end <= applied()) {
      closed_segments_.emplace(start, record_time_unix_ms());
      it = open_segments_.erase(it);
    } else {
      ++it;
    }
  }
  while (!closed_segments_.empty()) {
    const auto& [start, record_time] = *closed_segments_.begin();
    if (Value(start) + settings_.segment_size > Value(floor()) || record_time + kRecentFactMs >= record_time_unix_ms())
      break;
    sink(Tombstone(settings_.topics.live_counts, absl::StrCat(Value(start))));
    closed_segments_.erase(closed_segments_.begin());
  }
}

void PartitionState::Count(Offset offset, const Event& event) {
  if (!count_from_ || offset < *count_from_) return;
  const Offset start = SegmentStart(offset, settings_.segment_size);
  const auto segment = open_segments_.lower_bound(start);
  if (segment != open_segments_.end() && segment->first == start) {
    segment->second.counts.Add(event);
    return;
  }
  PackFullSegments(start);
  open_segments_[start].counts.Add(event);
}

void PartitionState::PackFullSegments(Offset begin) {
  for (auto segment = open_segments_.rbegin(); segment != open_segments_.rend(); ++segment) {
    if (segment->first >= begin) continue;
    if (!segment->second.deltas.empty()) break;
    segment->second.counts.AppendBytes(&segment->second.deltas);
    segment->second.counts = SegmentTally();
  }
}

void PartitionState::MarkChanged(UserEntry& entry) {
  if (entry.changed) return;
  entry.changed = true;
  changed_.push_back(&entry);
}

int64_t PartitionState::state_bytes() const {
  int64_t bytes = users_.bytes() + users_.spilled_bytes();
  for (const auto& [start, segment] : open_segments_) {
    bytes += static_cast<int64_t>(segment.counts.allocated_bytes() + segment.deltas.capacity());
  }
  return bytes;
}

// Of all the views of a flush: the field `position`, as bytes.
std::string PartitionState::PositionField() const {
  v1::SpeedView view;
  *view.mutable_position() = progress_.position();
  return view.SerializeAsString();
}

ProduceRecord PartitionState::ViewRecord(UserEntry& entry, const std::string& position) {
  std::string& bytes = view_bytes_;
  bytes = position;
  entry.user.AppendBytes(&bytes);
  if (bytes.size() > kMaxViewBytes) {
    bytes = Bounded<v1::SpeedView>(bytes);
    absl::StatusOr<LiveUser> bounded = LiveUser::FromBytes(bytes);
    CHECK(bounded.ok()) << bounded.status();
    entry.user = *std::move(bounded);
  }
  return {.topic = settings_.topics.speed_views, .partition = partition_, .key = entry.user_id, .value = bytes};
}

ProduceRecord PartitionState::Tombstone(const std::string& topic, std::string key) const {
  return {.topic = topic,
          .partition = partition_,
          .key = std::move(key),
          .value = std::nullopt,
          .headers = {{std::string(kPositionHeader), progress_.position().SerializeAsString()}}};
}

}  // namespace tributary::speed
