#ifndef TRIBUTARY_SPEED_LAYER_SPEED_LAYER_H_
#define TRIBUTARY_SPEED_LAYER_SPEED_LAYER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/local_store/local_store.h"
#include "common/metrics/metrics.h"
#include "speed_layer/floor_follower.h"
#include "speed_layer/partition_state.h"
#include "speed_layer/restorer.h"
#include "speed_layer/retry_delay.h"
#include "speed_layer/speed_metrics.h"
#include "tributary/v1/config.pb.h"

namespace tributary::speed {

// One instance of the speed layer: a member of the consumer group that turns its partitions of `events` into speed
// views, live counts and progress, exactly once.
//
// What happens with a partition:
//   1. Assigned: restored from its committed state (see Restorer), never from the group's offsets; meanwhile the others
//   flow.
//   2. Active: each RunOnce applies what arrived and writes the changed views and the progress at once, inside the open
//      transaction, for readers of uncommitted records. While there is a backlog changes are gathered for a while (a
//      quarter of the time that it has lasted, at most a second), so that a user who acts often is written once. A
//      checkpoint writes the live counts and commits all of it together with the consumed positions and the group
//      membership.
//   3. Revoked: what is there is committed, the group told that it may move on, the state set aside. Mostly the next
//      assignment gives the partition back: then it goes on as it stood, if nobody can have had it meanwhile; else the
//      state is dropped, piece by piece, since a million users take long.
// A failed write, an aborted transaction or a lost membership leaves the state in doubt: the transaction is aborted,
// the state of every partition thrown away and restored.
//
// Memory:  users beyond SpeedConfig::memory_budget_bytes go to Options::store, those first that are idle longest. When it
// cannot take them (a full disk) they stay in memory, over the budget, which the log, over_budget_bytes and
// spill_failures_total say; it is tried again every 10 s. When it cannot give one back the instance ends, and the next
// restores all from Kafka: nothing is lost either way.
//
// Limits:  10,000 records a poll, 1,000,000 events in a transaction; retries wait up to 2 s and give up after
// Options::give_up_after. Threads: not thread-safe; one thread calls everything. Restoring has threads of its own.
class SpeedLayer {
 public:
  struct Options {
    v1::Config config;  // Complete, as of LoadConfig; speed.instance names this instance.
    absl::Duration give_up_after = absl::Minutes(5);
    // Where users go when memory_budget_bytes is reached; null: all stay in memory. Borrowed, must outlive the layer.
    LocalStore* store = nullptr;
    absl::Duration poll_timeout = absl::Milliseconds(50);  // How long a round waits for events.
    int max_poll_events = 10'000;                          // As many at once say that there is a backlog.
    uint64_t retry_seed = std::random_device()();          // How long retries wait is drawn from this.
    // Partitions that are restored at a time, each on a thread of its own; 0: one after the other within RunOnce, so that
    // equal calls do equal things.
    int restore_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  };

  // Fences an earlier instance of the same name and joins the group. Everything borrowed must outlive the result.
  // NotFound: a topic is missing. InvalidArgument: topics that must have the same partitions do not. Unavailable: no
  // broker.
  static absl::StatusOr<std::unique_ptr<SpeedLayer>> Open(EventLog& log, const Clock& clock, MetricsRegistry& registry,
                                                          const Options& options);
  // Drops everything that is not committed: another instance, or the next start, applies it again.
  ~SpeedLayer();

  // One round: restore a piece, read, apply, write, commit when it is time. What can be retried is retried in later
  // rounds. FailedPrecondition: fenced, fatal, or the topic was created anew; DataLoss: the stored state is unreadable;
  // Internal: the local store failed to give users back; any error means that this instance is at its end. Destroy it.
  absl::Status RunOnce();
  // How long the caller should wait before the next round: more than zero only after a failure.
  absl::Duration delay() const;

  // Commits what is there. The membership stays: the same instance started again within the session timeout goes on
  // with its partitions, and nothing is moved; after that others get them.
  absl::Status Stop();

  // For tests and health: the state of a partition, null while it is not assigned or being restored.
  PartitionState* partition(PartitionId partition);
  bool restoring() const;
  bool trimming() const { return trimming_; }
  bool in_transaction() const { return transaction_open_; }

 private:
  struct Owned {
    int32_t group_generation = 0;
    std::unique_ptr<PartitionState> state;  // Null while restoring.
    absl::Time assigned_at;
    bool touched = false;  // In the open transaction.
    absl::Time measured_at = absl::InfinitePast();
    int64_t counted_loads = 0;  // In the metric.
  };

  SpeedLayer(EventLog& log, const Clock& clock, MetricsRegistry& registry, const Options& options);
  absl::Status Connect();
  absl::Status OpenProducers();
  std::unique_ptr<TransactionalProducer>& producer() { return producers_[turn_]; }

  absl::Status Round();
  // Counts a failure and says when to try again; the failure itself when it is not for trying again.
  absl::Status RetryLater(RetryDelay& retry, absl::Status failure);
  absl::Status FollowFloors();
  absl::Status RestoreSome();
  absl::Status Activate(PartitionId partition, PartitionRestore restore);
  void BeginRestore(PartitionId partition, Owned& owned);
  absl::Status GoOn(PartitionId partition, Owned& owned);
  void ReportRestores();
  absl::StatusOr<std::vector<LogEvent>> PollGroup();
  std::string Group() const;
  absl::Status Handle(const std::vector<LogEvent>& events);
  void LoadAhead(const std::vector<LogEvent>& events);
  void Prefetch(const std::vector<LogEvent>& events, size_t index, bool near);
  void Apply(const LogRecord& record);
  ProduceRecord DeadLetterRecord(v1::DeadLetter letter);
  void AddSideRecord(ProduceRecord record);
  absl::Status Assign(const Assigned& assigned);
  absl::Status Revoke(const Revoked& revoked);
  absl::Status Acknowledge();

  void NoteBacklog(bool more_waits);
  void Trim();
  void DropSome();
  int64_t BudgetOfOne() const;
  // Not OK once a user could not be brought back from the store: nothing may be written any more.
  absl::Status StoreFailure() const;
  // Moves users to the store, after writing them if need be, until the budget is kept.
  absl::Status KeepToBudget();
  void Spill();
  int64_t UserBytes() const;
  bool FlushDue() const;
  // There is something to write.
  bool dirty() const;
  absl::Status Flush();
  bool CheckpointDue() const;
  // Everything applied must be flushed: the positions that it commits say so.
  absl::Status Checkpoint();
  absl::Status Abandon(absl::Status cause);
  void MeasureLag();
  TopicPartition EventsOf(PartitionId partition) const { return {settings_.topics.events, partition}; }

  EventLog& log_;
  const Clock& clock_;
  const Options options_;
  const PartitionSettings settings_;
  SpeedMetrics metrics_;
  FloorFollower floors_;
  Restorer restorer_;
  // Transactions take turns: after a commit the broker still writes the markers of that transaction, and makes the next one
  // of the same producer wait for them, some 20 ms during which nothing would become visible. Null: to be opened again.
  std::array<std::unique_ptr<TransactionalProducer>, 2> producers_;
  size_t turn_ = 0;
  std::unique_ptr<GroupReader> group_;

  std::map<PartitionId, Owned> owned_;
  std::map<PartitionId, Owned> set_aside_;  // Given up, all committed; until the next assignment.
  std::vector<std::unique_ptr<PartitionState>> dropped_;  // Of partitions that went: freed piece by piece, others flow.
  bool acknowledge_ = false;  // A Revoked was dealt with, the group does not know yet.
  struct {
    int64_t applied = 0;
    int64_t accepted = 0;
  } counted_;                                // In this round; a metric for each event would cost more than some events.
  std::vector<ProduceRecord> side_records_;  // Dead letters and late events of what was applied since the last flush.
  size_t side_bytes_ = 0;                    // Of their values.
  int64_t unflushed_events_ = 0;
  absl::Time flushed_at_ = absl::InfinitePast();
  std::optional<absl::Time> behind_since_;  // While every poll finds more than it can take.
  bool flush_pending_ = false;  // A transaction for what was applied could not be begun yet.
  bool trimming_ = false;       // Some partition has users left to trim.

  bool transaction_open_ = false;
  absl::Time transaction_began_;
  absl::Time committed_at_ = absl::InfinitePast();
  int64_t transaction_events_ = 0;

  absl::Time floors_polled_ = absl::InfinitePast();
  absl::Time restores_reported_ = absl::InfinitePast();
  absl::Time spill_failed_ = absl::InfinitePast();
  RetryDelay retry_;         // Of rounds.
  RetryDelay floors_retry_;  // Neither following floors nor restoring holds up what flows.
  RetryDelay restore_retry_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_SPEED_LAYER_H_
