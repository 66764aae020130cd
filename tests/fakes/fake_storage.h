#ifndef TRIBUTARY_TESTS_FAKES_FAKE_STORAGE_H_
#define TRIBUTARY_TESTS_FAKES_FAKE_STORAGE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/event_log/event_log.h"

// Topics, partitions and transactions of FakeEventLog. No locks here: FakeEventLog has one for everything.
namespace tributary::fake_log {

// Numbers all transactions; 0 is none.
using TransactionNumber = int32_t;

struct StoredRecord {
  Offset offset{};
  int64_t append_time_unix_ms = 0;
  TransactionNumber transaction = 0;
  bool marker = false;
  std::string key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct Partition {
  TopicPartition name;
  bool compacted = false;
  bool held = false;            // Readers see nothing new.
  bool markers_delayed = false;
  int64_t begin = 0;
  int64_t end = 0;
  int64_t append_time_unix_ms = 0;                       // Of the latest record.
  std::deque<StoredRecord> records;                      // By offset; gaps where compaction removed some.
  std::map<TransactionNumber, int64_t> open;             // Without a marker here yet: its first offset.

  int64_t LastStable() const;
};

// Where a reader is in a partition.
struct Position {
  Partition* partition = nullptr;
  int64_t next = 0;
  int64_t reported_end = -1;    // Of the last EndOfPartition.
  bool resting = false;         // After OutOfRange.
};

class Storage {
 public:
  enum class Outcome { kOpen, kCommitted, kAborted };

  absl::Status Create(const TopicOptions& options);
  absl::StatusOr<int> PartitionCount(const std::string& topic) const;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> Config(const std::string& topic) const;
  absl::StatusOr<Partition*> Find(const TopicPartition& name) const;
  absl::Status AddPartitions(const std::string& topic, int partitions);
  absl::Status Recreate(const std::string& topic);
  absl::Status Compact(const std::string& topic, bool tombstones);
  void TruncateBefore(Partition& partition, int64_t offset);

  absl::StatusOr<EventPosition> Append(ProduceRecord record, TransactionNumber transaction, int64_t now_unix_ms);
  // Adds to `events`, until they are `max_events`, what a reader at `position` gets; moves it. OutOfRange only with
  // nothing added.
  absl::Status Read(Position& position, Isolation isolation, size_t max_events, std::vector<LogEvent>& events) const;

  // Transactional producers: each Open makes the epochs before it void and aborts what they left open. Unavailable while
  // markers are on their way.
  absl::StatusOr<int32_t> OpenProducer(const std::string& transactional_id);
  // FailedPrecondition: fenced.
  absl::Status CheckEpoch(const std::string& transactional_id, int32_t epoch) const;
  absl::StatusOr<TransactionNumber> Begin(const std::string& transactional_id);
  void End(const std::string& transactional_id, Outcome outcome);
  // Aborts what is open and fences the producer.
  void Expire(const std::string& transactional_id);
  // The producer that has this epoch is no more; what it left open stays open until ExpireAbandoned.
  void Abandon(const std::string& transactional_id, int32_t epoch);
  void ExpireAbandoned();
  void ReleaseMarkers(Partition& partition);
  void ReleaseAllMarkers();

 private:
  struct Topic {
    TopicOptions options;
    std::vector<std::unique_ptr<Partition>> partitions;
    uint32_t next_unkeyed = 0;
  };
  struct Producer {
    int32_t epoch = -1;
    bool abandoned = false;
    TransactionNumber current = 0;   // 0: none.
    TransactionNumber ended = 0;     // The one before; its markers may be on their way.
  };
  struct Transaction {
    Outcome outcome = Outcome::kOpen;
    std::vector<Partition*> without_marker;
  };

  Topic* FindTopic(const std::string& name) const;
  void AddPartition(Topic& topic);
  void WriteMarker(Partition& partition, TransactionNumber number);
  bool MarkersOnTheirWay(const Producer& producer) const;

  absl::flat_hash_map<std::string, std::unique_ptr<Topic>> topics_;
  std::map<std::string, Producer> producers_;
  std::deque<Transaction> transactions_{1};   // By number; the first stands for none.
};

}  // namespace tributary::fake_log

#endif  // TRIBUTARY_TESTS_FAKES_FAKE_STORAGE_H_
