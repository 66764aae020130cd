// What tests do to a FakeEventLog, beside using it.
#include <algorithm>
#include <limits>

#include "glog/logging.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary {
namespace {

// A test that names what is not there is wrong.
template <typename T>
T OrDie(absl::StatusOr<T> value) {
  CHECK(value.ok()) << value.status().ToString();
  return *std::move(value);
}
void OrDie(const absl::Status& status) { CHECK(status.ok()) << status.ToString(); }

}  // namespace

void FakeEventLog::FailNext(Operation operation, int count, absl::Status status, When when) {
  CHECK_GT(count, 0);
  CHECK(!status.ok());
  Change([&]() { faults_[operation].push_back({count, std::move(status), when}); });
}

void FakeEventLog::InterruptNext(Operation operation, std::function<void()> meanwhile, int64_t passing) {
  Change([&]() { interruptions_[operation] = {passing, std::move(meanwhile)}; });
}

void FakeEventLog::StopFailing() {
  Change([&]() {
    faults_.clear();
    interruptions_.clear();
  });
}

void FakeEventLog::Hold(Operation operation) {
  Change([&]() { held_.insert(operation); });
}

void FakeEventLog::Release(Operation operation) {
  Change([&]() { held_.erase(operation); });
}

void FakeEventLog::SetBrokerAway(bool away) {
  Change([&]() { away_ = away; });
}

void FakeEventLog::HoldPartition(const TopicPartition& partition) {
  Change([&]() { OrDie(storage_.Find(partition))->held = true; });
}

void FakeEventLog::ReleasePartition(const TopicPartition& partition) {
  Change([&]() { OrDie(storage_.Find(partition))->held = false; });
}

void FakeEventLog::DelayMarkers(const TopicPartition& partition) {
  Change([&]() { OrDie(storage_.Find(partition))->markers_delayed = true; });
}

void FakeEventLog::ReleaseMarkers(const TopicPartition& partition) {
  Change([&]() { storage_.ReleaseMarkers(*OrDie(storage_.Find(partition))); });
}

void FakeEventLog::ReleaseAllMarkers() {
  Change([&]() { storage_.ReleaseAllMarkers(); });
}

void FakeEventLog::ExpireTransaction(const std::string& transactional_id) {
  Change([&]() { storage_.Expire(transactional_id); });
}

void FakeEventLog::ExpireDeadTransactions() {
  Change([&]() { storage_.ExpireAbandoned(); });
}

void FakeEventLog::ExpireMember(const std::string& group, const std::string& instance) {
  Change([&]() {
    groups_.Expire(group, instance, [&](const std::string& topic) {
      return storage_.PartitionCount(topic).value_or(0);
    });
  });
}

void FakeEventLog::ExpireDeadMembers(const std::string& group) {
  Change([&]() {
    groups_.ExpireDead(group, [&](const std::string& topic) {
      return storage_.PartitionCount(topic).value_or(0);
    });
  });
}

void FakeEventLog::Rebalance(const std::string& group) {
  Change([&]() {
    groups_.Rebalance(group, [&](const std::string& topic) {
      return storage_.PartitionCount(topic).value_or(0);
    });
  });
}

void FakeEventLog::AddPartitions(const std::string& topic, int partitions) {
  Change([&]() {
    OrDie(storage_.AddPartitions(topic, partitions));
    groups_.RebalanceReadersOf(topic, [&](const std::string& name) {
      return storage_.PartitionCount(name).value_or(0);
    });
  });
}

std::map<TopicPartition, Offset> FakeEventLog::GroupOffsets(const std::string& group) const {
  MutexLock lock(mutex_);
  return groups_.Offsets(group);
}

int32_t FakeEventLog::GroupGeneration(const std::string& group) const {
  MutexLock lock(mutex_);
  return groups_.Generation(group);
}

void FakeEventLog::Compact(const std::string& topic, bool tombstones) {
  Change([&]() { OrDie(storage_.Compact(topic, tombstones)); });
}

void FakeEventLog::TruncateBefore(const TopicPartition& partition, Offset offset) {
  Change([&]() {
    storage_.TruncateBefore(*OrDie(storage_.Find(partition)), Value(offset));
  });
}

void FakeEventLog::RecreateTopic(const std::string& topic) {
  Change([&]() { OrDie(storage_.Recreate(topic)); });
}

std::vector<LogRecord> FakeEventLog::Records(const TopicPartition& name, Isolation isolation, Offset from) const {
  MutexLock lock(mutex_);
  fake_log::Partition* const partition = OrDie(storage_.Find(name));
  fake_log::Position position{.partition = partition, .next = std::max(partition->begin, Value(from))};
  const bool held = std::exchange(partition->held, false);
  std::vector<LogEvent> events;
  OrDie(storage_.Read(position, isolation, std::numeric_limits<size_t>::max(), events));
  partition->held = held;
  std::vector<LogRecord> records;
  for (LogEvent& event : events) {
    if (LogRecord* record = std::get_if<LogRecord>(&event)) {
      records.push_back(std::move(*record));
    }
  }
  return records;
}

}  // namespace tributary
