#include "serving_layer/live_state/live_state.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/event_log/topics.h"
#include "common/user_state/live_user.h"

namespace tributary::serving {
namespace {

// Longer than any transaction of the speed layer can stay open.
constexpr int64_t kTombstoneKeptMs = 10LL * 60 * 1000;
// Slots of the users' table that a Publish looks at: some microseconds, and all of ten million users within hours.
constexpr size_t kSlotsAPublish = 256;

absl::Status Unreadable(const LogRecord& record, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("live record unreadable: topic=", record.source.topic,
                                                 " partition=", Value(record.source.partition),
                                                 " offset=", Value(record.offset), " cause=", what));
}

// The position that a tombstone carries; none when it carries none.
std::optional<ViewOrder> TombstoneOrder(const LogRecord& record) {
  for (const auto& [name, value] : record.headers) {
    v1::ViewPosition position;
    if (name == kPositionHeader && position.ParseFromString(value)) {
      return FromProto(position);
    }
  }
  return std::nullopt;
}

std::vector<Fact> DecodeFacts(const google::protobuf::RepeatedPtrField<v1::Fact>& messages) {
  std::vector<Fact> facts;
  facts.reserve(messages.size());
  for (const v1::Fact& message : messages) {
    facts.push_back(tributary::FromProto(message));
  }
  return facts;
}

bool ByOffset(const std::vector<Fact>& facts) {
  return std::is_sorted(facts.begin(), facts.end(),
                        [](const Fact& a, const Fact& b) { return a.offset < b.offset; });
}

bool IsOld(const LivePartitionState& state, const Fact& fact) {
  return state.record_time_unix_ms - fact.record_time_unix_ms > kRecentFactMs;
}

// What LiveUser::Trim lets go of at the floor and the record time of the latest progress.
bool HasFaded(const LivePartitionState& state, const std::vector<Fact>& facts) {
  return std::all_of(facts.begin(), facts.end(),
                     [&](const Fact& fact) { return fact.offset < state.floor() && IsOld(state, fact); });
}

bool HasFaded(const LivePartitionState& state, const LiveView& view) {
  return HasFaded(state, view.facts) && HasFaded(state, view.recent) &&
         std::all_of(view.impressions.begin(), view.impressions.end(), [&](const Fact& fact) { return IsOld(state, fact); });
}

bool IsEmpty(const LiveView& view) { return view.facts.empty() && view.recent.empty() && view.impressions.empty(); }

}  // namespace

LiveState::LiveState(const LiveSessions::Options& sessions)
    : sessions_(sessions, LiveSessions::Beside::kCurrent),
      other_sessions_(sessions, LiveSessions::Beside::kOther),
      published_(new LivePartitions) {}

LiveState::~LiveState() { delete published_.load(std::memory_order_acquire); }

LivePartitionState& LiveState::Partition(PartitionId partition) {
  SetPartitionCount(Value(partition) + 1);
  return next_.partitions[Value(partition)];
}

void LiveState::SetPartitionCount(int count) {
  while (static_cast<int>(next_.partitions.size()) < count) {
    next_.partitions.emplace_back().segments = std::make_shared<const LiveSegments>();
    next_segments_.emplace_back();
    tombstones_.emplace_back();
    changed_ = true;
  }
}

const LiveSegments& LiveState::SegmentsOf(PartitionId partition) {
  const LivePartitionState& state = Partition(partition);
  const auto& next = next_segments_[Value(partition)];
  return next != nullptr ? *next : *state.segments;
}

LiveSegments& LiveState::WritableSegments(PartitionId partition) {
  const LivePartitionState& state = Partition(partition);
  auto& next = next_segments_[Value(partition)];
  if (next == nullptr) {
    next = std::make_unique<LiveSegments>(*state.segments);
    changed_ = true;
  }
  return *next;
}

void LiveState::SetEventsEnd(PartitionId partition, Offset end, absl::Time now) {
  LivePartitionState& state = Partition(partition);
  // A clock that jumped back would leave a time ahead of it, and a dead speed layer would pass for a live one till then.
  const absl::Time caught_up = state.applied() >= end ? now : std::min(state.caught_up, now);
  if (caught_up != state.caught_up) {
    state.caught_up = caught_up;
    changed_ = true;
  }
}

const LiveView* LiveState::FindView(const std::string& user_id, PartitionId partition) const {
  const LiveUserViews* user = users_.FindAsWriter(user_id);
  if (user == nullptr) {
    return nullptr;
  }
  for (const auto& view : user->views) {
    if (view->partition == partition) {
      return view.get();
    }
  }
  return nullptr;
}

void LiveState::SetView(const std::string& user_id, std::shared_ptr<const LiveView> view) {
  LiveUserViews next;
  if (const LiveUserViews* user = users_.FindAsWriter(user_id); user != nullptr) {
    next = *user;
  }
  const auto place = std::lower_bound(
      next.views.begin(), next.views.end(), view->partition,
      [](const std::shared_ptr<const LiveView>& other, PartitionId partition) { return other->partition < partition; });
  if (place != next.views.end() && (*place)->partition == view->partition) {
    *place = std::move(view);
  } else {
    next.views.insert(place, std::move(view));
  }
  users_.Set(user_id, std::move(next));
  changed_users_.push_back(user_id);
}

void LiveState::UpdateSessions(const ContextPublisher& context) {
  for (LiveSessions* const sessions : {&sessions_, &other_sessions_}) {
    sessions->Follow(context, [this](const auto& visit) { ForEachUser(visit); });
  }
  std::sort(changed_users_.begin(), changed_users_.end());
  changed_users_.erase(std::unique(changed_users_.begin(), changed_users_.end()), changed_users_.end());
  for (const std::string& user_id : changed_users_) {
    user_listener_(user_id);
    static const LiveUserViews* const none = new LiveUserViews;
    const LiveUserViews* const views = users_.FindAsWriter(user_id);
    for (LiveSessions* const sessions : {&sessions_, &other_sessions_}) {
      sessions->Set(user_id, views != nullptr ? *views : *none, context);
    }
  }
  changed_users_.clear();
  sessions_.Reclaim();
  other_sessions_.Reclaim();
}

absl::Status LiveState::ApplySpeedView(const LogRecord& record) {
  DropOldTombstones(record.source.partition, record.append_time_unix_ms);
  if (record.key == kProgressKey) {
    v1::Progress progress;
    if (!record.value || !progress.ParseFromString(*record.value)) {
      return Unreadable(record, "progress");
    }
    ApplyProgress(record, progress);
    return absl::OkStatus();
  }
  auto view = std::make_shared<LiveView>();
  view->partition = record.source.partition;
  if (record.value) {
    v1::SpeedView message;
    if (!message.ParseFromString(*record.value)) {
      return Unreadable(record, "speed view");
    }
    view->order = FromProto(message.position());
    view->facts = DecodeFacts(message.facts());
    view->recent = DecodeFacts(message.recent());
    view->impressions = DecodeFacts(message.impressions());
    view->truncated = message.truncated();
    if (!ByOffset(view->facts) || !ByOffset(view->recent) || !ByOffset(view->impressions)) {
      return Unreadable(record, "facts out of order");
    }
  } else {
    const std::optional<ViewOrder> order = TombstoneOrder(record);
    if (!order) {
      return Unreadable(record, "tombstone without position");
    }
    view->order = *order;
  }
  if (const LiveView* known = FindView(record.key, view->partition); known != nullptr && !(known->order < view->order)) {
    return absl::OkStatus();
  }
  if (!record.value) {
    // The empty view holds the position until nothing older can come any more.
    tombstones_[Value(view->partition)].push_back(
        {.append_time_unix_ms = record.append_time_unix_ms, .user_id = record.key, .order = view->order});
  }
  SetView(record.key, std::move(view));
  return absl::OkStatus();
}

void LiveState::ApplyProgress(const LogRecord& record, const v1::Progress& progress) {
  LivePartitionState& state = Partition(record.source.partition);
  const ViewOrder order = FromProto(progress.position());
  if (state.progress && order < *state.progress) {
    return;
  }
  // An equal position is news too: the instance lives, and has nothing to do.
  state.progress = order;
  RaiseFloor(record.source.partition, order.floor);
  state.progress_written = absl::FromUnixMillis(record.append_time_unix_ms);
  state.record_time_unix_ms = progress.record_time_unix_ms();
  state.gap_end = Offset{progress.gap_end_offset()};
  changed_ = true;
}

absl::Status LiveState::ApplyLiveCounts(const LogRecord& record) {
  const LiveSegments& segments = SegmentsOf(record.source.partition);
  int64_t start = 0;
  if (!absl::SimpleAtoi(record.key, &start) || start < 0) {
    return Unreadable(record, "segment start");
  }
  const auto known = segments.find(Offset{start});
  const auto newer = [&](const ViewOrder& order) { return known == segments.end() || known->second->order < order; };
  if (!record.value) {
    const std::optional<ViewOrder> order = TombstoneOrder(record);
    if (!order) {
      return Unreadable(record, "tombstone without position");
    }
    if (known != segments.end() && newer(*order)) {
      RaiseFloor(record.source.partition, order->floor);
      WritableSegments(record.source.partition).erase(Offset{start});
    }
    return absl::OkStatus();
  }
  v1::LiveCounts message;
  if (!message.ParseFromString(*record.value)) {
    return Unreadable(record, "live counts");
  }
  if (message.segment_start() != start) {
    return Unreadable(record, "segment start differs from the key");
  }
  const ViewOrder order = FromProto(message.position());
  if (!newer(order)) {
    return absl::OkStatus();
  }
  absl::StatusOr<SegmentCounts> counts = SegmentCounts::FromProto(message);
  if (!counts.ok()) {
    return Unreadable(record, counts.status().message());
  }
  WritableSegments(record.source.partition)[Offset{start}] = std::make_shared<const LiveSegmentCounts>(
      LiveSegmentCounts{.order = order,
                        .record_time_unix_ms = message.record_time_unix_ms(),
                        .counts = *std::move(counts)});
  return absl::OkStatus();
}

// The progress that goes with a tombstone may come late or never, if its transaction aborts. What it let go of is gone all
// the same.
void LiveState::RaiseFloor(PartitionId partition, Offset floor) {
  LivePartitionState& state = Partition(partition);
  if (floor > state.highest_floor) {
    state.highest_floor = floor;
    changed_ = true;
  }
}

void LiveState::DropOldTombstones(PartitionId partition, int64_t now_unix_ms) {
  SetPartitionCount(Value(partition) + 1);
  std::deque<Tombstone>& tombstones = tombstones_[Value(partition)];
  while (!tombstones.empty() && tombstones.front().append_time_unix_ms + kTombstoneKeptMs < now_unix_ms) {
    const Tombstone tombstone = std::move(tombstones.front());
    tombstones.pop_front();
    const LiveView* const view = FindView(tombstone.user_id, partition);
    if (view == nullptr || view->order != tombstone.order) {
      continue;
    }
    RaiseFloor(partition, tombstone.order.floor);
    changed_users_.push_back(tombstone.user_id);
    LiveUserViews next = *users_.FindAsWriter(tombstone.user_id);
    std::erase_if(next.views, [partition](const auto& other) { return other->partition == partition; });
    if (next.views.empty()) {
      users_.Erase(tombstone.user_id);
    } else {
      users_.Set(tombstone.user_id, std::move(next));
    }
  }
}

void LiveState::DropFadedViews() {
  std::vector<std::pair<std::string, PartitionId>> faded;
  users_.VisitNext(kSlotsAPublish, [&](absl::string_view user_id, const LiveUserViews& user) {
    for (const auto& view : user.views) {
      const LivePartitionState& state = Partition(view->partition);
      // A truncated view says for how long it is one only to the speed layer.
      if (!IsEmpty(*view) && !view->truncated && HasFaded(state, *view)) {
        faded.emplace_back(user_id, view->partition);
      }
    }
  });
  for (const auto& [user_id, partition] : faded) {
    // As if its tombstone had come just before the progress record, which says that nothing else did.
    const LivePartitionState& state = Partition(partition);
    auto empty = std::make_shared<LiveView>();
    empty->partition = partition;
    empty->order = std::max(*state.progress, FindView(user_id, partition)->order);
    empty->order.floor = std::max(empty->order.floor, state.floor());   // Of which progress may know less: see RaiseFloor.
    tombstones_[Value(partition)].push_back({.append_time_unix_ms = absl::ToUnixMillis(state.progress_written),
                                             .user_id = user_id,
                                             .order = empty->order});
    SetView(user_id, std::move(empty));
  }
}

void LiveState::DropFadedSegments() {
  for (size_t p = 0; p < next_.partitions.size(); ++p) {
    const PartitionId partition{static_cast<int32_t>(p)};
    const LivePartitionState& state = next_.partitions[p];
    // Applied offset and record time grow from segment to segment.
    while (!SegmentsOf(partition).empty()) {
      const auto& [start, segment] = *SegmentsOf(partition).begin();
      if (segment->order.applied > state.floor() ||
          state.record_time_unix_ms - segment->record_time_unix_ms <= kRecentFactMs) {
        break;
      }
      WritableSegments(partition).erase(Offset{start});
    }
  }
}

void LiveState::DropFaded() {
  DropFadedViews();
  DropFadedSegments();
}

bool LiveState::Publish() {
  users_.Reclaim();
  const bool changed = changed_;
  if (changed) {
    changed_ = false;
    for (size_t p = 0; p < next_segments_.size(); ++p) {
      if (next_segments_[p] != nullptr) {
        next_.partitions[p].segments = std::move(next_segments_[p]);
      }
    }
    retired_.Retire(std::unique_ptr<const LivePartitions>(
        published_.exchange(new LivePartitions(next_), std::memory_order_seq_cst)));
  }
  retired_.Reclaim();
  return changed;
}

}  // namespace tributary::serving
