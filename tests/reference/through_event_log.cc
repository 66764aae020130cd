#include "tests/reference/through_event_log.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include <glog/logging.h>

#include "common/event_log/event_log.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary::reference {
namespace {

constexpr char kTopic[] = "events";

void Ok(const absl::Status& status) { CHECK(status.ok()) << status; }

template <typename T>
T Ok(absl::StatusOr<T> result) {
  CHECK(result.ok()) << result.status();
  return *std::move(result);
}

class Producers {
 public:
  Producers(EventLog& log, uint64_t seed)
      : random_(seed),
        group_(Ok(log.JoinGroup({.group = "group", .instance = "a", .topic = kTopic}))),
        plain_(Ok(log.OpenProducer())),
        transactional_(Ok(log.OpenTransactionalProducer("producer"))) {
    Ok(group_->Poll(absl::ZeroDuration(), 10).status());
    membership_ = Ok(group_->Membership());
  }

  void Produce(const RawRecord& record) {
    if (OneIn(6)) ProduceAborted(record);
    if (OneIn(2)) {
      Ok(plain_->Produce(ToProduce(record), absl::ZeroDuration()).status());
      return;
    }
    Ok(transactional_->Begin());
    Ok(transactional_->Produce(ToProduce(record)));
    Ok(transactional_->Commit({}, *membership_));
  }

  // What is produced from here on is above the last stable offset of the partition.
  void LeaveOpen(const RawRecord& record) {
    Ok(transactional_->Begin());
    Ok(transactional_->Produce(ToProduce(record)));
  }

 private:
  bool OneIn(int n) { return std::uniform_int_distribution<int>(1, n)(random_) == 1; }

  static ProduceRecord ToProduce(const RawRecord& record) {
    return {.topic = kTopic, .partition = PartitionId{record.partition}, .key = "", .value = record.value};
  }

  // A record that nobody may see, with the same event.
  void ProduceAborted(const RawRecord& record) {
    Ok(transactional_->Begin());
    Ok(transactional_->Produce(ToProduce(record)));
    Ok(transactional_->Abort());
  }

  std::mt19937_64 random_;
  std::unique_ptr<GroupReader> group_;
  std::unique_ptr<LogProducer> plain_;
  std::unique_ptr<TransactionalProducer> transactional_;
  std::unique_ptr<GroupMembership> membership_;
};

void ReadCommitted(EventLog& log, int32_t partition, std::vector<RawRecord>* records) {
  const TopicPartition source{kTopic, PartitionId{partition}};
  auto reader = Ok(log.OpenReader(Isolation::kCommitted));
  Ok(reader->Start(source, Offset{0}));
  while (true) {
    for (LogEvent& event : Ok(reader->Poll(absl::ZeroDuration(), 64))) {
      if (std::holds_alternative<EndOfPartition>(event)) return;
      auto& record = std::get<LogRecord>(event);
      records->push_back({partition, Value(record.offset), record.append_time_unix_ms, record.value.value_or("")});
    }
  }
}

}  // namespace

std::vector<RawRecord> ThroughEventLog(const std::vector<RawRecord>& records, int32_t partitions, uint64_t seed) {
  FakeClock clock;
  FakeEventLog log(clock);
  const TopicOptions topic{.name = kTopic, .partitions = partitions};
  Ok(log.CreateTopics({&topic, 1}));
  Producers producers(log, seed);
  std::vector<RawRecord> read;
  for (const RawRecord& record : records) {
    if (record.partition < 0) {
      read.push_back(record);
      continue;
    }
    clock.Set(absl::FromUnixMillis(record.append_time_unix_ms));
    producers.Produce(record);
  }
  const auto imported = static_cast<ptrdiff_t>(read.size());
  if (!records.empty() && records.back().partition >= 0) producers.LeaveOpen(records.back());
  for (int32_t partition = 0; partition < partitions; ++partition) ReadCommitted(log, partition, &read);
  // Mixed again as time passes. The broker's steps back within a partition, whose order is that of the offsets.
  std::vector<std::pair<int64_t, RawRecord>> mixed;
  std::map<int32_t, int64_t> latest;
  for (auto record = read.begin() + imported; record != read.end(); ++record) {
    int64_t& time = latest[record->partition];
    time = std::max(time, record->append_time_unix_ms);
    mixed.emplace_back(time, std::move(*record));
  }
  std::stable_sort(mixed.begin(), mixed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  read.resize(static_cast<size_t>(imported));
  for (auto& [time, record] : mixed) read.push_back(std::move(record));
  return read;
}

}  // namespace tributary::reference
