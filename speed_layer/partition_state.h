#ifndef TRIBUTARY_SPEED_LAYER_PARTITION_STATE_H_
#define TRIBUTARY_SPEED_LAYER_PARTITION_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/counts/counts.h"
#include "common/event_log/event_log.h"
#include "common/event_log/topics.h"
#include "common/ids/ids.h"
#include "common/local_store/local_store.h"
#include "speed_layer/user_table.h"
#include "tributary/v1/dead_letter.pb.h"
#include "tributary/v1/speed.pb.h"

namespace tributary::speed {

// A view that would be longer loses its oldest facts and says so: a record has to fit through the broker.
inline constexpr size_t kMaxViewBytes = 768 * 1024;
inline constexpr size_t kTrimUsers = 1000;
// Counts of a segment that would be longer lose the counters with the longest keys; only hostile input gets there.
inline constexpr size_t kMaxCountsBytes = 900 * 1024;

// What one record of `events` came to.
struct ApplyOutcome {
  enum class Kind {
    kAccepted,
    kDuplicate,  // Its id was accepted before: it changes nothing.
    kRejected,   // See dead_letter.
    kSkipped,    // Below the applied offset.
  };
  Kind kind = Kind::kSkipped;
  std::optional<v1::DeadLetter> dead_letter;  // For kRejected.
  std::optional<v1::LateEvent> late;          // For a kAccepted event that came later than the allowed lateness.
};

// What every partition of an instance shares.
struct PartitionSettings {
  Topics topics;
  int64_t segment_size;  // B: a power of two.
  UserLimits limits;
  absl::Duration allowed_lateness;
  std::string instance;  // For people, in progress records.
  LocalStore* store = nullptr;  // Where users go for whom there is no room; null: all stay in memory.
};

// What a partition starts from: restored from its topics, or from nothing.
struct PartitionStart {
  struct Segment {
    SegmentTally counts;
    std::string deltas;  // Instead of `counts` once the segment is full: their bytes.
    Offset applied{};    // As published.
  };
  v1::Progress progress;  // Position (its generation already that of this assignment), totals, gap.
  UserTable users;
  // Of all users; as it stands, they have to be looked at.
  LiveUser::Untrimmed untrimmed{.floor = Offset{-1}};
  std::map<Offset, Segment> open_segments;    // At or above the segment that holds the applied offset.
  std::map<Offset, int64_t> closed_segments;  // The others: start -> record time of their last record.
  // Without progress: records below `old_before_offset` and older than `old_before_unix_ms` of record time are in no count
  // that anyone asks for any more. They are applied all the same: whether an id of the last 24 h was accepted may rest on
  // one before, and that on one before it.
  Offset old_before_offset{};
  int64_t old_before_unix_ms = 0;
  bool unwritten = false;  // There is something to say (a gap) before the first event.
};

// Everything the speed layer knows about one partition of `events`, and the decision what to write of it. Pure: no clock,
// and no I/O but that of PartitionSettings::store, where users may be. Two states that were given the same records and floor hold the same facts.
//
// Why (applied offset, group generation, floor) orders what is written, when serving also reads what is aborted later:
//  * Events are read committed, up to the last stable offset, so every instance sees the same records at the same
//    offsets. Acceptance is a function of the log. So all views of a user with the same applied offset, whoever wrote
//    them, hold the same facts at or above the greater of their floors, and one with a greater applied offset extends
//    one with a smaller one. An aborted view is right, only early; so is one of a zombie that has not noticed yet.
//  * Flushes may be cut differently when events are applied again: after an aborted flush at 100, the successor may
//    write at 95 and then at 105. Serving skips 95 (it has all of that), and for a user without events in [95, 105) no
//    view follows: the one it holds from 100 says the same. An aborted progress record at 100 stood behind all views up
//    to 100 (one producer, one partition, in order), so the applied offset that serving reports never promises too
//    much.
//  * A restart with static membership keeps its generation, so positions can come twice with nothing between them to
//    tell which is newer. They need not be told apart, by the first point: whichever is kept, the facts are the same.
//  * The generation starts again at 1 when the broker forgets an empty group. Therefore a partition writes the greater
//    of the generation of its assignment and the one in the committed progress record: committed positions never fall.
//    Were an aborted record's generation higher still, the first point holds again.
//  * The floor only rises: it is kept in the progress record, and a lower minimum (a snapshot built on an older range)
//  is
//    ignored. So of two views at one applied offset the one with the higher floor is the trimmed one.
//
// Threads: not thread-safe.
class PartitionState {
 public:
  // `settings` is borrowed and must outlive this.
  PartitionState(const PartitionSettings& settings, PartitionId partition, PartitionStart start);

  // Records that come soon may be told, first some 16 records ahead (`near` false), then some 8: what they need is
  // brought near meanwhile. Keys are taken for user ids; changes nothing.
  void Prefetch(const LogRecord& record, bool near) {
    if (near) {
      users_.PrefetchEntry(record.key);
    } else {
      users_.PrefetchSlot(record.key);
    }
  }
  // Records of these keys come next: brings back at once whom of their users the store has. Keys are taken for user ids.
  void LoadAhead(absl::Span<const absl::string_view> keys);
  // Takes in the next record of the partition.
  ApplyOutcome Apply(const LogRecord& record);
  // The reader has seen everything below `position` (control records lie between the last record and it).
  void AdvanceTo(Offset position);
  // The partition was given back to the same member in this generation; nobody else had it.
  void JoinGeneration(int32_t group_generation);
  // Moves the floor; a lower one changes nothing. The users are trimmed by TrimSome.
  void RaiseFloor(Offset floor);
  // Trims about kTrimUsers users to the floor, or a 256th of all if that is more; false when all are done. First those in
  // memory, then those in the store; who comes back meanwhile is trimmed then.
  bool TrimSome();
  // Moves users to the store until some `bytes` less are in memory; see UserTable::Spill.
  absl::StatusOr<int64_t> Spill(int64_t bytes) { return users_.Spill(bytes); }
  // Frees some users, as TrimSome trims them, of a state that nobody needs any more; false when that were the last. Nothing
  // else may be called any more.
  bool DropSome() { return users_.DropSome(kTrimUsers); }
  // Not OK once the store failed to give a user back. The state is of no more use then, and must not be written.
  const absl::Status& failure() const { return failure_; }

  // True when TakeChanges would write something.
  bool dirty() const;
  // Where records go that are to be written; one at a time, since there may be more than should lie in memory.
  using Sink = absl::FunctionRef<void(ProduceRecord)>;
  // Hands over what to write to `speed-views`: the changed views (a tombstone for a user with nothing left), then the
  // progress.
  void TakeChanges(Sink sink);
  // Hands over what to write to `live-counts` before a commit: open segments whose applied offset moved, tombstones for
  // those that lie below the floor and are older than 24 h of record time.
  void TakeCounts(Sink sink);

  PartitionId partition() const { return partition_; }
  Offset applied() const { return Offset{progress_.position().applied_offset()}; }
  Offset floor() const { return Offset{progress_.position().floor()}; }
  int64_t record_time_unix_ms() const { return progress_.record_time_unix_ms(); }
  int64_t last_append_time_unix_ms() const { return last_append_time_unix_ms_; }
  const v1::Progress& progress() const { return progress_; }
  size_t users() const { return users_.size(); }  // In memory.
  size_t spilled_users() const { return users_.spilled_users(); }
  int64_t loads() const { return loads_; }  // Users that came back, since the partition was restored.
  // Memory that the state takes, and that the users in memory have of it.
  int64_t state_bytes() const;
  int64_t user_bytes() const { return users_.bytes(); }
  const UserEntry* user(const std::string& user_id) { return users_.Find(user_id); }

 private:
  bool IsOld(const LogRecord& record) const;
  void WelcomeBack(UserEntry& entry);
  void Count(Offset offset, const Event& event);
  // Of segments that are full only the bytes are kept until they are written: many may wait in a backlog.
  void PackFullSegments(Offset begin);
  void MarkChanged(UserEntry& entry);
  std::string PositionField() const;
  ProduceRecord ViewRecord(UserEntry& entry, const std::string& position);
  ProduceRecord Tombstone(const std::string& topic, std::string key) const;

  const PartitionSettings& settings_;
  const PartitionId partition_;
  v1::Progress progress_;  // As it would be written now.
  Offset written_applied_{};
  Offset written_floor_{};
  bool unwritten_;
  UserTable users_;
  std::vector<UserEntry*> changed_;   // With `changed` set, each once.
  std::string view_bytes_;            // Where views are put together; keeps its capacity.
  size_t trim_shard_ = 0;             // The next one to trim; kShards: none in memory.
  enum class SpilledTrim { kFromTheBeginning, kUnderWay, kDone } spilled_trim_ = SpilledTrim::kFromTheBeginning;
  absl::Status failure_;
  int64_t loads_ = 0;
  std::map<Offset, PartitionStart::Segment> open_segments_;
  std::map<Offset, int64_t> closed_segments_;
  Offset old_before_offset_;
  int64_t old_before_unix_ms_;
  bool passed_old_ = false;           // An old record was applied.
  std::optional<Offset> count_from_;  // Events below are in no count; unset until the first record that is not old.
  int64_t last_append_time_unix_ms_ = 0;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_PARTITION_STATE_H_
