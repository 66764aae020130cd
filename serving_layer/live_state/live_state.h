#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_STATE_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_STATE_H_

#include <algorithm>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/counts/counts.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"
#include "common/sync/rcu.h"
#include "common/sync/rcu_map.h"
#include "serving_layer/live_state/live_sessions.h"
#include "serving_layer/live_state/live_views.h"

namespace tributary::serving {

// Live counts of one segment.
struct LiveSegmentCounts {
  ViewOrder order;
  int64_t record_time_unix_ms = 0;   // At order.applied.
  SegmentCounts counts;
};
using LiveSegments = std::map<Offset, std::shared_ptr<const LiveSegmentCounts>>;   // By the segment's start.

// What is live of one partition besides its users.
struct LivePartitionState {
  std::optional<ViewOrder> progress;          // Of the latest progress record; none yet.
  Offset highest_floor{};                     // Of all progress records, and of tombstones whose views or counts are gone.
  absl::Time progress_written;                // Broker time of that record.
  int64_t record_time_unix_ms = 0;            // At the applied offset.
  Offset gap_end{};                           // Events below this were lost before the speed layer read them; 0: none.
  // The last time the speed layer was seen to have applied all of `events`; infinite past: never.
  absl::Time caught_up = absl::InfinitePast();
  std::shared_ptr<const LiveSegments> segments;   // Never null.

  Offset applied() const { return progress ? progress->applied : Offset{0}; }
  // Never falls: what was let go of below the floor of a transaction that then aborted is gone.
  Offset floor() const { return highest_floor; }
  // The last time the speed layer is known to have been up to date or at work; infinite past: never.
  absl::Time current() const { return progress ? std::max(caught_up, progress_written) : caught_up; }
};

// Index: partition number.
struct LivePartitions {
  std::vector<LivePartitionState> partitions;
};

// What the speed layer has told so far: users' views, progress and counts, from the records of `speed-views` and
// `live-counts` as they were written, committed or not. A record counts only if its ViewOrder is greater than that of
// what is known, so that aborted, repeated and late records of a fenced instance change nothing.
//
// Threads: Apply*, Set*, UpdateSessions and Publish from one thread (the follower); FindUser, sessions and partitions from
//          any thread with an EpochGuard open, without ever waiting.
// Seen:    a view is seen as soon as it is applied; progress and counts with the next Publish, so never before the views
//          that they cover.
// Memory:  what the speed layer would no longer keep goes without being told: a tombstone may be compacted away before it is
//          read, and a transaction that aborted leaves views that nobody deletes. A tombstone's position is kept for 10 min
//          of its partition's broker time, so that nothing older comes back; its floor is kept for good.
class LiveState {
 public:
  explicit LiveState(const LiveSessions::Options& sessions = {});

  // A record of `speed-views`: a view, a tombstone or progress. InvalidArgument: unreadable; nothing changed.
  absl::Status ApplySpeedView(const LogRecord& record);
  // A record of `live-counts`.
  absl::Status ApplyLiveCounts(const LogRecord& record);
  // There are at least this many partitions.
  void SetPartitionCount(int count);
  // The end offset of a partition of `events`, as seen at `now`.
  void SetEventsEnd(PartitionId partition, Offset end, absl::Time now);
  // Lets go of what the speed layer would no longer keep (some users a call). Before UpdateSessions and Publish.
  void DropFaded();
  // Makes progress and counts visible, and frees what nobody reads any more. Answers whether anything was new.
  bool Publish();

  // Brings the live sessions to what was applied, beside the snapshot and the catalogue of now. Without an EpochGuard open.
  void UpdateSessions(const ContextPublisher& context);
  // Is told, in the follower's thread, of each user whose views or record changed, by the next UpdateSessions.
  void SetUserListener(std::function<void(const std::string& user_id)> listener) { user_listener_ = std::move(listener); }
  // What the company says of a user has changed.
  void UserChanged(absl::string_view user_id) { changed_users_.emplace_back(user_id); }

  // Null: no live view of the user.
  const LiveUserViews* FindUser(absl::string_view user_id) const { return users_.Find(user_id); }
  const LiveSessions& sessions() const { return sessions_; }
  // Beside the snapshot of `context`; null: not made yet.
  LiveSessions::View SessionsOf(const ServingContext& context) const {
    const LiveSessions::View view = sessions_.Of(context);
    return view.index != nullptr ? view : other_sessions_.Of(context);
  }
  const LivePartitions& partitions() const { return *published_.load(std::memory_order_seq_cst); }

  // For the follower's thread.
  template <typename Visit>
  void ForEachUser(Visit visit) const {
    users_.ForEach(visit);
  }
  // For the follower's thread: by partition, what the next Publish makes visible.
  const std::vector<LivePartitionState>& next_partitions() const { return next_.partitions; }
  size_t user_count() const { return users_.size(); }
  ~LiveState();
  LiveState(const LiveState&) = delete;
  LiveState& operator=(const LiveState&) = delete;

 private:
  // Of an empty view.
  struct Tombstone {
    int64_t append_time_unix_ms = 0;
    std::string user_id;
    ViewOrder order;
  };

  LivePartitionState& Partition(PartitionId partition);
  const LiveSegments& SegmentsOf(PartitionId partition);
  // A copy of the partition's segments that the next Publish makes visible; copied once between two of them.
  LiveSegments& WritableSegments(PartitionId partition);
  void ApplyProgress(const LogRecord& record, const v1::Progress& progress);
  void RaiseFloor(PartitionId partition, Offset floor);
  void SetView(const std::string& user_id, std::shared_ptr<const LiveView> view);
  const LiveView* FindView(const std::string& user_id, PartitionId partition) const;
  // Of one partition, as of a record's append time.
  void DropOldTombstones(PartitionId partition, int64_t now_unix_ms);
  // Looks at some users; all come by in turn.
  void DropFadedViews();
  void DropFadedSegments();

  RcuMap<LiveUserViews> users_;
  LiveSessions sessions_;
  LiveSessions other_sessions_;              // Beside the snapshot that is held besides; the same budget again.
  std::vector<std::string> changed_users_;   // Since UpdateSessions.
  std::function<void(const std::string&)> user_listener_ = [](const std::string&) {};
  LivePartitions next_;
  std::vector<std::deque<Tombstone>> tombstones_;              // By partition, as read.
  std::vector<std::unique_ptr<LiveSegments>> next_segments_;   // By partition; null: unchanged since Publish.
  bool changed_ = false;
  std::atomic<const LivePartitions*> published_;
  RetireList<LivePartitions> retired_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_STATE_H_
