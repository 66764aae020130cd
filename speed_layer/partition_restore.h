#ifndef TRIBUTARY_SPEED_LAYER_PARTITION_RESTORE_H_
#define TRIBUTARY_SPEED_LAYER_PARTITION_RESTORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"
#include "speed_layer/floor_tracker.h"
#include "speed_layer/partition_state.h"

namespace tributary::speed {

// Builds the start of one partition from the committed records of its `speed-views` and `live-counts`, in log order.
// The latest record of a key holds: a predecessor whose commit succeeded had written before this assignment was made
// (its membership is checked with the commit), so nothing older comes after something newer. Pure: no I/O. Threads: not
// thread-safe.
class PartitionRestore {
 public:
  // `settings` is borrowed and must outlive this. About `budget_bytes` of users stay in memory, if
  // the store takes the others.
  PartitionRestore(const PartitionSettings& settings, PartitionId partition,
                   int64_t budget_bytes = std::numeric_limits<int64_t>::max())
      : settings_(&settings), partition_(partition), users_(settings.store), budget_bytes_(budget_bytes) {}

  // There are at most so many views to come: makes room for their users, within a limit.
  void Expect(int64_t views) { users_.Reserve(static_cast<size_t>(std::min(views, kMaxExpected))); }
  // A record that comes soon may be told: what it needs is brought near meanwhile.
  void Prefetch(const LogRecord& record) const { users_.PrefetchSlot(record.key); }
  // Takes in the next record of either topic. DataLoss: unreadable, naming topic, partition and offset. Internal: the
  // store failed to give a user back.
  absl::Status Add(const LogRecord& record);

  int64_t records() const { return records_; }

  // Where to go on, and with what. `events`: from the first record still there to the high watermark.
  // With progress: from its applied offset. Without: from the beginning, counting nothing that lies more than 24 h of
  // record time before the floor (and below the segment that the floor cuts, whose counts have to be whole). Events that
  // retention took before they were read are a gap: it shows in start.progress.gap_end_offset. FailedPrecondition: the
  // topic ends below the progress or below a watermark: it was created anew.
  absl::StatusOr<PartitionStart> Finish(const OffsetRange& events, const Floor& floor, int32_t group_generation);

 private:
  // A topic may have many records of few users; what is reserved for nobody stays within some MB.
  static constexpr int64_t kMaxExpected = 1 << 18;

  absl::Status AddView(const LogRecord& record);
  absl::Status AddCounts(const LogRecord& record);
  absl::Status Unreadable(const LogRecord& record, absl::string_view why) const;

  struct Segment {
    SegmentTally counts;
    Offset applied{};
    int64_t record_time_unix_ms = 0;
  };

  const PartitionSettings* settings_;  // Never null.
  PartitionId partition_;
  int64_t records_ = 0;
  std::optional<v1::Progress> progress_;
  UserTable users_;
  int64_t budget_bytes_;
  LiveUser::Untrimmed untrimmed_;  // Of all views that were read.
  std::map<Offset, Segment> segments_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_PARTITION_RESTORE_H_
