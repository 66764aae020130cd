#include "tests/fakes/fake_storage.h"

#include <algorithm>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::fake_log {
namespace {

size_t Bytes(const ProduceRecord& record) {
  size_t bytes = record.key.size() + (record.value ? record.value->size() : 0);
  for (const auto& [name, value] : record.headers) {
    bytes += name.size() + value.size();
  }
  return bytes;
}

std::string Name(const TopicPartition& partition) {
  return absl::StrCat("topic=", partition.topic, " partition=", Value(partition.partition));
}

}  // namespace

int64_t Partition::LastStable() const {
  int64_t stable = end;
  for (const auto& [transaction, first] : open) {
    stable = std::min(stable, first);
  }
  return stable;
}

// ---- Topics ----

Storage::Topic* Storage::FindTopic(const std::string& name) const {
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : found->second.get();
}

void Storage::AddPartition(Topic& topic) {
  auto partition = std::make_unique<Partition>();
  partition->name = {topic.options.name, PartitionId{static_cast<int32_t>(topic.partitions.size())}};
  partition->compacted = topic.options.compacted;
  topic.partitions.push_back(std::move(partition));
}

absl::Status Storage::Create(const TopicOptions& options) {
  if (options.name.empty() || options.partitions < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("topic refused: topic=", options.name, " partitions=", options.partitions));
  }
  if (const Topic* existing = FindTopic(options.name)) {
    if (static_cast<int>(existing->partitions.size()) != options.partitions) {
      return absl::InvalidArgumentError(absl::StrCat("topic exists with another partition count: topic=", options.name,
                                                     " partitions=", existing->partitions.size(),
                                                     " wanted=", options.partitions));
    }
    return absl::OkStatus();
  }
  auto topic = std::make_unique<Topic>();
  topic->options = options;
  for (int i = 0; i < options.partitions; ++i) {
    AddPartition(*topic);
  }
  topics_[options.name] = std::move(topic);
  return absl::OkStatus();
}

absl::StatusOr<int> Storage::PartitionCount(const std::string& name) const {
  const Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", name));
  }
  return static_cast<int>(topic->partitions.size());
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> Storage::Config(const std::string& name) const {
  const Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", name));
  }
  std::map<std::string, std::string> config = {{"cleanup.policy", topic->options.compacted ? "compact" : "delete"},
                                               {"message.timestamp.type", "LogAppendTime"}};
  if (topic->options.retention) {
    config["retention.ms"] = absl::StrCat(absl::ToInt64Milliseconds(*topic->options.retention));
  }
  for (const auto& [key, value] : topic->options.config) {
    config[key] = value;
  }
  return std::vector<std::pair<std::string, std::string>>(config.begin(), config.end());
}

absl::StatusOr<Partition*> Storage::Find(const TopicPartition& name) const {
  const Topic* topic = FindTopic(name.topic);
  const int32_t number = Value(name.partition);
  if (topic == nullptr || number < 0 || number >= static_cast<int32_t>(topic->partitions.size())) {
    return absl::NotFoundError(absl::StrCat("no such partition: ", Name(name)));
  }
  return topic->partitions[number].get();
}

absl::Status Storage::AddPartitions(const std::string& name, int partitions) {
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", name));
  }
  while (static_cast<int>(topic->partitions.size()) < partitions) {
    AddPartition(*topic);
  }
  topic->options.partitions = static_cast<int>(topic->partitions.size());
  return absl::OkStatus();
}

absl::Status Storage::Recreate(const std::string& name) {
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", name));
  }
  for (const std::unique_ptr<Partition>& partition : topic->partitions) {
    partition->begin = partition->end = 0;
    partition->records.clear();
    partition->open.clear();
    for (Transaction& transaction : transactions_) {
      std::erase(transaction.without_marker, partition.get());
    }
  }
  return absl::OkStatus();
}

absl::Status Storage::Compact(const std::string& name, bool tombstones) {
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", name));
  }
  for (const std::unique_ptr<Partition>& partition : topic->partitions) {
    const int64_t stable = partition->LastStable();
    const auto aborted = [&](const StoredRecord& record) {
      return transactions_[record.transaction].outcome == Outcome::kAborted;
    };
    std::unordered_map<std::string, int64_t> last;
    for (const StoredRecord& record : partition->records) {
      if (Value(record.offset) < stable && !record.marker && !aborted(record)) {
        last[record.key] = Value(record.offset);
      }
    }
    std::erase_if(partition->records, [&](const StoredRecord& record) {
      if (Value(record.offset) >= stable) {
        return false;
      }
      return record.marker || aborted(record) || last[record.key] != Value(record.offset) ||
             (tombstones && !record.value.has_value());
    });
  }
  return absl::OkStatus();
}

void Storage::TruncateBefore(Partition& partition, int64_t offset) {
  partition.begin = std::clamp(offset, partition.begin, partition.end);
  while (!partition.records.empty() && Value(partition.records.front().offset) < partition.begin) {
    partition.records.pop_front();
  }
}

// ---- Records ----

absl::StatusOr<EventPosition> Storage::Append(ProduceRecord record, TransactionNumber transaction,
                                              int64_t now_unix_ms) {
  Topic* topic = FindTopic(record.topic);
  if (topic == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such topic: topic=", record.topic));
  }
  const int count = static_cast<int>(topic->partitions.size());
  PartitionId number{};
  if (record.partition) {
    number = *record.partition;
  } else if (!record.key.empty()) {
    number = PartitionOfKey(record.key, count);
  } else {
    number = PartitionId{static_cast<int32_t>(topic->next_unkeyed++ % static_cast<uint32_t>(count))};
  }
  TRIBUTARY_ASSIGN_OR_RETURN(Partition* const partition, Find({record.topic, number}));
  if (const size_t bytes = Bytes(record); bytes > kMaxLogRecordBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("record too large: ", Name(partition->name), " bytes=", bytes, " limit=", kMaxLogRecordBytes));
  }
  if (partition->compacted && record.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("a compacted topic takes no record without a key: ",
                                                   Name(partition->name)));
  }
  const int64_t offset = partition->end++;
  partition->append_time_unix_ms = now_unix_ms;
  if (transaction != 0 && partition->open.emplace(transaction, offset).second) {
    transactions_[transaction].without_marker.push_back(partition);
  }
  partition->records.push_back({.offset = Offset{offset},
                                .append_time_unix_ms = partition->append_time_unix_ms,
                                .transaction = transaction,
                                .key = std::move(record.key),
                                .value = std::move(record.value),
                                .headers = std::move(record.headers)});
  return EventPosition{number, Offset{offset}};
}

absl::Status Storage::Read(Position& position, Isolation isolation, size_t max_events,
                           std::vector<LogEvent>& events) const {
  const Partition& partition = *position.partition;
  if (position.resting || partition.held || events.size() >= max_events) {
    return absl::OkStatus();
  }
  if (position.next < partition.begin || position.next > partition.end) {
    if (!events.empty()) {
      return absl::OkStatus();  // First what was read before; the error comes next time.
    }
    position.resting = true;
    return absl::OutOfRangeError(absl::StrCat("offset is not there: ", Name(partition.name), " offset=", position.next,
                                              " begin=", partition.begin, " end=", partition.end));
  }
  const int64_t limit = isolation == Isolation::kCommitted ? partition.LastStable() : partition.end;
  auto record = std::lower_bound(
      partition.records.begin(), partition.records.end(), position.next,
      [](const StoredRecord& stored, int64_t offset) { return Value(stored.offset) < offset; });
  for (; record != partition.records.end() && Value(record->offset) < limit; ++record) {
    const bool hidden = record->marker || (isolation == Isolation::kCommitted &&
                                           transactions_[record->transaction].outcome == Outcome::kAborted);
    if (!hidden) {
      if (events.size() >= max_events) {
        return absl::OkStatus();
      }
      events.push_back(LogRecord{.source = partition.name,
                                 .offset = record->offset,
                                 .append_time_unix_ms = record->append_time_unix_ms,
                                 .key = record->key,
                                 .value = record->value,
                                 .headers = record->headers});
    }
    position.next = Value(record->offset) + 1;
  }
  position.next = std::max(position.next, limit);
  if (position.next == limit && position.reported_end != limit && events.size() < max_events) {
    position.reported_end = limit;
    events.push_back(EndOfPartition{partition.name, Offset{limit}});
  }
  return absl::OkStatus();
}

// ---- Transactions ----

absl::StatusOr<int32_t> Storage::OpenProducer(const std::string& transactional_id) {
  Producer& producer = producers_[transactional_id];
  End(transactional_id, Outcome::kAborted);
  ++producer.epoch;
  producer.abandoned = false;
  if (MarkersOnTheirWay(producer)) {
    return absl::UnavailableError(
        absl::StrCat("the transaction before is still being ended: transactional_id=", transactional_id));
  }
  return producer.epoch;
}

absl::Status Storage::CheckEpoch(const std::string& transactional_id, int32_t epoch) const {
  if (producers_.at(transactional_id).epoch != epoch) {
    return absl::FailedPreconditionError(absl::StrCat("fenced: transactional_id=", transactional_id, " epoch=", epoch));
  }
  return absl::OkStatus();
}

absl::StatusOr<TransactionNumber> Storage::Begin(const std::string& transactional_id) {
  Producer& producer = producers_.at(transactional_id);
  if (MarkersOnTheirWay(producer)) {
    return absl::UnavailableError(
        absl::StrCat("the transaction before is still being ended: transactional_id=", transactional_id));
  }
  producer.current = static_cast<TransactionNumber>(transactions_.size());
  transactions_.emplace_back();
  return producer.current;
}

void Storage::End(const std::string& transactional_id, Outcome outcome) {
  Producer& producer = producers_.at(transactional_id);
  if (producer.current == 0) {
    return;
  }
  producer.ended = std::exchange(producer.current, 0);
  Transaction& transaction = transactions_[producer.ended];
  transaction.outcome = outcome;
  std::erase_if(transaction.without_marker, [&](Partition* partition) {
    if (!partition->markers_delayed) {
      WriteMarker(*partition, producer.ended);
    }
    return !partition->markers_delayed;
  });
}

void Storage::Expire(const std::string& transactional_id) {
  if (const auto found = producers_.find(transactional_id);
      found != producers_.end() && found->second.current != 0) {
    End(transactional_id, Outcome::kAborted);
    ++found->second.epoch;
  }
}

void Storage::Abandon(const std::string& transactional_id, int32_t epoch) {
  Producer& producer = producers_.at(transactional_id);
  producer.abandoned |= producer.epoch == epoch;
}

void Storage::ExpireAbandoned() {
  for (const auto& [transactional_id, producer] : producers_) {
    if (producer.abandoned) {
      Expire(transactional_id);
    }
  }
}

void Storage::WriteMarker(Partition& partition, TransactionNumber number) {
  partition.records.push_back({.offset = Offset{partition.end++},
                               .append_time_unix_ms = partition.append_time_unix_ms,
                               .transaction = number,
                               .marker = true});
  partition.open.erase(number);
}

void Storage::ReleaseMarkers(Partition& partition) {
  partition.markers_delayed = false;
  const std::map<TransactionNumber, int64_t> open = partition.open;
  for (const auto& [number, first] : open) {
    if (Transaction& transaction = transactions_[number]; transaction.outcome != Outcome::kOpen) {
      WriteMarker(partition, number);
      std::erase(transaction.without_marker, &partition);
    }
  }
}

void Storage::ReleaseAllMarkers() {
  std::map<std::string, Topic*> in_order;  // The hash map's order is not that of the next run.
  for (const auto& [name, topic] : topics_) {
    in_order[name] = topic.get();
  }
  for (const auto& [name, topic] : in_order) {
    for (const std::unique_ptr<Partition>& partition : topic->partitions) {
      ReleaseMarkers(*partition);
    }
  }
}

bool Storage::MarkersOnTheirWay(const Producer& producer) const {
  return producer.ended != 0 && !transactions_[producer.ended].without_marker.empty();
}

}  // namespace tributary::fake_log
