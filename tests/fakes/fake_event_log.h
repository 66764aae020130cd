#ifndef TRIBUTARY_TESTS_FAKES_FAKE_EVENT_LOG_H_
#define TRIBUTARY_TESTS_FAKES_FAKE_EVENT_LOG_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"
#include "tests/fakes/fake_group.h"
#include "tests/fakes/fake_storage.h"

namespace tributary {

// Kafka within one process, for tests. What the interface promises holds here as there (tests/common/event_log runs one
// contract over both): transactions whose control markers take offsets, the last stable offset, fencing, groups with
// generations. Above that a test can do to it what happens to a real one: see the methods below the overrides.
//
// Determinism: nothing happens but by a call. Used by one thread, equal calls give equal answers; Poll with a timeout of
//          zero never waits. Append times come from `clock`, never falling within a partition.
// Threads: thread-safe. Poll with a timeout waits for another thread to change something.
// Lifetime: borrows the clock; readers and producers borrow the log and must be destroyed before it.
class FakeEventLog final : public EventLog {
 public:
  // What can be made to fail or to wait. kOpen: readers, producers and joining a group; kAdmin: topics and offsets.
  enum class Operation { kOpen, kPoll, kProduce, kFlush, kBegin, kCommit, kAbort, kAdmin };
  // Whether an injected failure comes instead of the effect or after it (as when the answer is lost).
  enum class When { kInstead, kAfter };

  explicit FakeEventLog(const Clock& clock) : clock_(clock) {}

  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(Isolation isolation) override;
  absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const GroupReaderOptions& options) override;
  absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer() override;
  absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(
      const std::string& transactional_id) override;
  absl::Status CreateTopics(absl::Span<const TopicOptions> topics) override;
  absl::StatusOr<int> PartitionCount(const std::string& topic) override;
  absl::StatusOr<OffsetRange> Offsets(const TopicPartition& partition, Isolation isolation) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TopicConfig(const std::string& topic) override;

  // ---- Failures ----
  // The next `count` operations of the kind answer `status`. A record of a transaction, or one that is queued, fails as
  // it would: in Commit (Aborted) and in Flush; nothing of the transaction that comes after such a record is written.
  void FailNext(Operation operation, int count, absl::Status status, When when = When::kInstead);
  // Before the next operation of the kind (kBegin, kCommit; kProduce: of a record in a transaction too) but `passing`
  // others `meanwhile` is called, by the thread that asks for it: what happens while a process stands still in the middle
  // of its work. It may use the log.
  void InterruptNext(Operation operation, std::function<void()> meanwhile, int64_t passing = 0);
  // Failures and interruptions that did not come yet do not come any more.
  void StopFailing();
  // Calls of the kind wait until Release. For tests with threads.
  void Hold(Operation operation);
  void Release(Operation operation);
  // While the broker is away every operation is Unavailable (Poll after its timeout); what producers queue stays queued.
  void SetBrokerAway(bool away);
  // Readers see nothing new of the partition until it is released.
  void HoldPartition(const TopicPartition& partition);
  void ReleasePartition(const TopicPartition& partition);

  // ---- Transactions ----
  // Markers of transactions that end from now on do not reach the partition until they are released: the transaction is
  // decided, but the last stable offset stays. Meanwhile Begin of the same producer is Unavailable.
  void DelayMarkers(const TopicPartition& partition);
  void ReleaseMarkers(const TopicPartition& partition);
  void ReleaseAllMarkers();
  // The broker's time limit for an open transaction: it is aborted and its producer fenced.
  void ExpireTransaction(const std::string& transactional_id);
  // The same for all whose producers are gone.
  void ExpireDeadTransactions();

  // ---- Groups ----
  // The session of the member times out: others get its partitions. If it is alive it learns by Revoked{lost} and joins
  // again when that is acknowledged.
  void ExpireMember(const std::string& group, const std::string& instance);
  // The sessions of all members time out whose readers are gone.
  void ExpireDeadMembers(const std::string& group);
  // A rebalance for no reason of its own.
  void Rebalance(const std::string& group);
  // The offsets that transactions committed for the group.
  std::map<TopicPartition, Offset> GroupOffsets(const std::string& group) const;
  int32_t GroupGeneration(const std::string& group) const;

  // ---- Topics ----
  // Removes what the log cleaner would: per key all but the last record below the last stable offset, aborted records and
  // markers; with `tombstones` also the tombstones that are left.
  void Compact(const std::string& topic, bool tombstones = false);
  // Retention: what lies before `offset` is gone.
  void TruncateBefore(const TopicPartition& partition, Offset offset);
  // More partitions; groups of the topic rebalance.
  void AddPartitions(const std::string& topic, int partitions);
  // As deleted and created again: empty, offsets from 0.
  void RecreateTopic(const std::string& topic);
  // What a reader of the partition would get from `from`, or from its beginning if that lies above; held or not.
  std::vector<LogRecord> Records(const TopicPartition& partition, Isolation isolation, Offset from = Offset{0}) const;

 private:
  class Reader;
  class GroupMember;
  class Producer;
  class Transactions;

  struct Fault {
    int count;
    absl::Status status;
    When when;
  };

  // Runs `body` as one operation of the broker, with its failures.
  template <typename Body>
  auto Run(Operation operation, Body body) -> decltype(body()) {
    Interrupt(operation);
    std::optional<decltype(body())> result;  // Outlives the lock: what a lost answer held takes the lock to go.
    MutexLock lock(mutex_);
    TRIBUTARY_RETURN_IF_ERROR(Enter(operation));
    result.emplace(body());
    changed_.NotifyAll();
    TRIBUTARY_RETURN_IF_ERROR(InjectedFailure(operation, When::kAfter));
    return *std::move(result);
  }
  // Runs what a test does to the broker.
  template <typename Body>
  void Change(Body body) {
    MutexLock lock(mutex_);
    body();
    changed_.NotifyAll();
  }
  void Interrupt(Operation operation);
  absl::Status Enter(Operation operation);
  absl::Status InjectedFailure(Operation operation, When when);
  absl::StatusOr<EventPosition> Append(ProduceRecord record, fake_log::TransactionNumber transaction);
  absl::StatusOr<std::vector<LogEvent>> PollUntil(
      absl::Duration timeout, absl::FunctionRef<absl::Status(std::vector<LogEvent>&)> collect);

  const Clock& clock_;

  // Guards all below. Not annotated: the work is done in the functions given to Run and Change, which clang's analysis
  // does not look into.
  mutable Mutex mutex_;
  CondVar changed_;
  bool away_ = false;
  std::set<Operation> held_;
  std::map<Operation, std::deque<Fault>> faults_;
  struct Interruption {
    int64_t passing = 0;
    std::function<void()> meanwhile;
  };
  std::map<Operation, Interruption> interruptions_;
  fake_log::Storage storage_;
  fake_log::Groups groups_;
};

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_FAKES_FAKE_EVENT_LOG_H_
