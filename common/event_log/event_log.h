#ifndef TRIBUTARY_COMMON_EVENT_LOG_EVENT_LOG_H_
#define TRIBUTARY_COMMON_EVENT_LOG_EVENT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"

// The log that the layers meet on: Apache Kafka behind an interface of our own (common/kafka is the real one,
// tests/fakes the one for tests). No library callback enters our code: everything that happens, rebalances too,
// comes out of Poll as a value, in order.
//
// Threads: an object is used by one thread at a time; EventLog itself is thread-safe.
// Errors:  Unavailable: try again later (the broker is away or busy); FailedPrecondition: fenced or fatal, the object is of
//          no more use; NotFound: no such topic or partition; OutOfRange: the offset is not there any more;
//          InvalidArgument: refused as asked. Messages name topic, partition and cause.
namespace tributary {

// The most that key, value and headers of one record may have together. More is InvalidArgument.
inline constexpr size_t kMaxLogRecordBytes = 1'000'000;

struct TopicPartition {
  std::string topic;
  PartitionId partition{};
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

enum class Isolation {
  kCommitted,    // Only records of committed transactions, up to the last stable offset.
  kUncommitted,  // All records as they are written, aborted ones too.
};

// A record as it was read.
struct LogRecord {
  TopicPartition source;
  Offset offset{};
  int64_t append_time_unix_ms = 0;             // Broker time (LogAppendTime).
  std::string key;
  std::optional<std::string> value;            // Unset: a tombstone.
  std::vector<std::pair<std::string, std::string>> headers;
};

// A record to be written.
struct ProduceRecord {
  std::string topic;
  std::optional<PartitionId> partition;        // Unset: murmur2 of the key, as Java clients do (murmur2_random).
  std::string key;
  std::optional<std::string> value;            // Unset: a tombstone.
  std::vector<std::pair<std::string, std::string>> headers;
};

// The reader has read all there was: `position` is the offset that the next record would have (after control records).
// Comes once for each such position, so again when the end moved on, even if only by control records.
struct EndOfPartition {
  TopicPartition source;
  Offset position{};
};

// The group gave these partitions to this member, and took the ones of earlier events that are not in Revoked since.
// They are paused until StartAt says from where.
struct Assigned {
  std::vector<TopicPartition> partitions;
  int32_t group_generation = 0;
  // This reader was a member without a break since its last Revoked, and there was no generation between: nobody else has
  // had the partitions that it gave up then, so what it knows of them still holds.
  bool unbroken = false;
};

// Taken away. With `lost` the membership is gone: another member may have them already.
struct Revoked {
  std::vector<TopicPartition> partitions;
  bool lost = false;
};

using LogEvent = std::variant<LogRecord, EndOfPartition, Assigned, Revoked>;

// Reads given partitions from given offsets.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // Adds a partition, or moves one, to be read from `from` on. OutOfRange comes from Poll, once, and the partition then
  // rests until it is started again.
  virtual absl::Status Start(const TopicPartition& partition, Offset from) = 0;
  virtual absl::Status Stop(const TopicPartition& partition) = 0;
  // Up to `max_events` events, waiting at most `timeout` for the first. Empty: nothing happened.
  virtual absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) = 0;
};

// Proof of membership, for TransactionalProducer::Commit: opaque, made by a GroupReader of the same EventLog.
class GroupMembership {
 public:
  virtual ~GroupMembership() = default;
};

// Reads what its consumer group assigns to it (range assignment), committed records only. Partitions that are added to the
// topic are assigned as well, a little later. With an instance name the
// membership is static: destroying the reader without Leave, as a crash does, keeps its partitions for an equally named
// one until the session times out. Poll often: a member that stays away for five minutes is taken for dead.
// FailedPrecondition from Poll: another reader of the same instance name has taken over.
class GroupReader {
 public:
  virtual ~GroupReader() = default;
  // Starts or moves an assigned partition. The group's stored offsets are never used. InvalidArgument: not assigned.
  virtual absl::Status StartAt(const TopicPartition& partition, Offset from) = 0;
  virtual absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) = 0;
  // Says that the owner let go of the partitions of the last Revoked; the group may move on. Until then the membership
  // still commits (unless it was lost). Without such a Revoked it does nothing.
  virtual absl::Status AcknowledgeRevoked() = 0;
  // That of the last Assigned that Poll returned. Unavailable: there is none.
  virtual absl::StatusOr<std::unique_ptr<GroupMembership>> Membership() = 0;
  // Leaves the group, which hands the partitions to others at once. The reader is of no more use.
  virtual absl::Status Leave() = 0;
};

// Writes single records.
class LogProducer {
 public:
  virtual ~LogProducer() = default;
  // Waits until the record is written by all in-sync replicas, or `timeout`. After Unavailable it may still be written.
  virtual absl::StatusOr<EventPosition> Produce(ProduceRecord record, absl::Duration timeout) = 0;
  // Queues the record and returns. `done` is told once what became of it: within a later Deliver or the destructor, or within
  // this call when it was refused (ResourceExhausted: the queue is full). Unavailable: not written within 10 s; it may still
  // be. From any thread.
  using Done = std::function<void(absl::StatusOr<EventPosition>)>;
  virtual void ProduceThen(ProduceRecord record, Done done) = 0;
  // Tells what was decided about records of ProduceThen; waits up to `timeout` for the first.
  virtual void Deliver(absl::Duration timeout) = 0;
  // Queues the record. ResourceExhausted: the queue is full, Flush first. Failures come from Flush.
  virtual absl::Status ProduceAsync(ProduceRecord record) = 0;
  // Waits for all queued records; the first failure since the last Flush.
  virtual absl::Status Flush(absl::Duration timeout) = 0;
};

// Writes records in transactions. One transaction at a time: Begin, Produce..., Commit or Abort. Destroying it leaves an
// open transaction as a crash would: to the next producer of the same id, or to the broker's time limit.
class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  // Unavailable: try again, with a new producer of the same id (the transaction before is still being ended, or this object
  // is of no more use). FailedPrecondition: fenced or fatal.
  virtual absl::Status Begin() = 0;
  // Sent at once (readers of uncommitted records see it); failures come from Commit.
  virtual absl::Status Produce(ProduceRecord record) = 0;
  // Ends the transaction with the consumed positions. FailedPrecondition: fenced or fatal. Aborted: the transaction was
  // aborted and everything since Begin is void (the membership was lost, for one). Unavailable: the outcome is not known;
  // the object is of no more use, and a new one of the same id settles it. Without consumed positions the membership is not
  // looked at.
  virtual absl::Status Commit(absl::Span<const std::pair<TopicPartition, Offset>> consumed,
                              const GroupMembership& membership) = 0;
  virtual absl::Status Abort() = 0;
};

struct TopicOptions {
  std::string name;
  int partitions = 1;
  int replication_factor = 1;
  bool compacted = false;
  std::optional<absl::Duration> retention;     // Unset: the broker's default.
  std::vector<std::pair<std::string, std::string>> config;   // Further broker settings, as they stand.
};

struct OffsetRange {
  Offset begin{};   // The first offset that is still there.
  Offset end{};     // The offset after the last: the last stable offset when committed.
};

struct GroupReaderOptions {
  std::string group;
  std::string instance;               // group.instance.id. Empty: no static membership.
  std::string topic;
  absl::Duration session_timeout = absl::Seconds(10);
  absl::Duration unread_check_interval = absl::Seconds(10);  // Between looks whether the group reads all partitions.
};

class EventLog {
 public:
  virtual ~EventLog() = default;

  virtual absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(Isolation isolation) = 0;
  virtual absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const GroupReaderOptions& options) = 0;
  virtual absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer() = 0;
  // Fences every earlier producer of the same id.
  virtual absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(
      const std::string& transactional_id) = 0;

  // Creates what is missing; topics that are there are left as they are (a different partition count is InvalidArgument).
  virtual absl::Status CreateTopics(absl::Span<const TopicOptions> topics) = 0;
  virtual absl::StatusOr<int> PartitionCount(const std::string& topic) = 0;
  virtual absl::StatusOr<OffsetRange> Offsets(const TopicPartition& partition, Isolation isolation) = 0;
  // Settings of a topic as the broker has them: (name, value).
  virtual absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TopicConfig(const std::string& topic) = 0;
};

// The partition that murmur2_random gives to a key of at least one byte (Kafka's DefaultPartitioner).
PartitionId PartitionOfKey(absl::string_view key, int partitions);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_LOG_EVENT_LOG_H_
