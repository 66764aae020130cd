#include "tests/speed_layer/speed_harness.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "glog/logging.h"
#include "gtest/gtest.h"

namespace tributary::speed {
namespace {

constexpr int kMaxRounds = 5000;

template <typename Message>
Message Parsed(const LogRecord& record) {
  Message message;
  CHECK(record.value && message.ParseFromString(*record.value)) << record.source.topic << " " << Value(record.offset);
  return message;
}

}  // namespace

SpeedHarness::SpeedHarness(int partition_count, int64_t segment_size)
    : partitions(partition_count), config(DefaultConfig()) {
  config.mutable_kafka()->set_partitions(partitions);
  config.mutable_kafka()->set_segment_size(segment_size);
  CHECK(log.CreateTopics(TopicsToCreate(topics, config.kafka())).ok());
  producer_ = *log.OpenProducer();
}

Offset SpeedHarness::PublishBytes(const std::string& key, const std::string& value, int partition) {
  broker_clock.Advance(absl::Milliseconds(1));
  for (int attempt = 0; attempt < 10; ++attempt) {  // Failures may be on their way that are meant for others.
    auto position = producer_->Produce(
        {.topic = topics.events, .partition = PartitionId{partition}, .key = key, .value = value}, absl::Seconds(1));
    if (position.ok()) return position->offset;
  }
  LOG(FATAL) << "cannot publish";
}

void SpeedHarness::Announce(const v1::SnapshotAnnouncement& announcement) {
  auto position = producer_->Produce({.topic = topics.snapshots,
                                      .key = absl::StrCat(announcement.generation()),
                                      .value = announcement.SerializeAsString()},
                                     absl::Seconds(1));
  CHECK(position.ok()) << position.status();
}

absl::StatusOr<std::unique_ptr<SpeedLayer>> SpeedHarness::Open(const std::string& instance) {
  SpeedLayer::Options options{.config = config,
                              .store = config.speed().memory_budget_bytes() > 0 ? &store : nullptr,
                              .poll_timeout = absl::ZeroDuration(),
                              .max_poll_events = max_poll_events,
                              .restore_threads = restore_threads};
  options.config.mutable_speed()->set_instance(instance);
  return SpeedLayer::Open(log, clock, registry, options);
}

std::unique_ptr<SpeedLayer> SpeedHarness::Start(const std::string& instance) {
  auto layer = Open(instance);
  CHECK(layer.ok()) << layer.status();
  return *std::move(layer);
}

absl::Status SpeedHarness::Round(SpeedLayer& layer) {
  const absl::Status status = layer.RunOnce();
  clock.Advance(absl::Milliseconds(10));
  return status;
}

bool SpeedHarness::InStep(SpeedLayer& layer) {
  if (layer.restoring() || layer.trimming() || layer.in_transaction()) return false;
  for (int partition = 0; partition < partitions; ++partition) {
    const PartitionState* state = layer.partition(PartitionId{partition});
    if (state == nullptr) continue;
    const auto range = log.Offsets({topics.events, PartitionId{partition}}, Isolation::kCommitted);
    if (!range.ok() || state->dirty() || state->applied() < range->end) return false;
  }
  return true;
}

void SpeedHarness::ExpireTransactions(const std::string& instance) {
  for (const char* turn : {"-0", "-1"}) log.ExpireTransaction(absl::StrCat("tributary-speed-", instance, turn));
}

void SpeedHarness::Settle(const std::vector<SpeedLayer*>& layers) {
  int quiet = 0;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool in_step = true;
    std::set<int> owned;
    for (SpeedLayer* layer : layers) {
      const absl::Status status = Round(*layer);
      ASSERT_TRUE(status.ok()) << status;
    }
    for (SpeedLayer* layer : layers) {
      in_step &= InStep(*layer);
      for (int partition = 0; partition < partitions; ++partition) {
        if (layer->partition(PartitionId{partition}) != nullptr) owned.insert(partition);
      }
    }
    // Long enough for the floors to be looked at.
    quiet = in_step && owned.size() == static_cast<size_t>(partitions) ? quiet + 1 : 0;
    if (quiet > 30) return;
  }
  FAIL() << "not in step after " << kMaxRounds << " rounds";
}

std::map<std::string, LogRecord> SpeedHarness::Latest(const std::string& topic, int partition, Isolation isolation) {
  std::map<std::string, LogRecord> latest;
  for (LogRecord& record : log.Records({topic, PartitionId{partition}}, isolation)) {
    if (record.value) {
      latest[record.key] = std::move(record);
    } else {
      latest.erase(record.key);
    }
  }
  return latest;
}

std::optional<v1::SpeedView> SpeedHarness::View(const std::string& user, int partition, Isolation isolation) {
  const auto latest = Latest(topics.speed_views, partition, isolation);
  const auto it = latest.find(user);
  if (it == latest.end()) return std::nullopt;
  return Parsed<v1::SpeedView>(it->second);
}

std::optional<v1::Progress> SpeedHarness::Progress(int partition, Isolation isolation) {
  const auto latest = Latest(topics.speed_views, partition, isolation);
  const auto it = latest.find(std::string(kProgressKey));
  if (it == latest.end()) return std::nullopt;
  return Parsed<v1::Progress>(it->second);
}

std::vector<v1::DeadLetter> SpeedHarness::DeadLetters(Isolation isolation) {
  std::vector<v1::DeadLetter> letters;
  for (int partition = 0; partition < partitions; ++partition) {
    for (const LogRecord& record : log.Records({topics.dead_letters, PartitionId{partition}}, isolation)) {
      letters.push_back(Parsed<v1::DeadLetter>(record));
    }
  }
  return letters;
}

std::vector<v1::LateEvent> SpeedHarness::LateEvents() {
  std::vector<v1::LateEvent> events;
  for (int partition = 0; partition < partitions; ++partition) {
    for (const LogRecord& record : log.Records({topics.late_events, PartitionId{partition}}, Isolation::kCommitted)) {
      events.push_back(Parsed<v1::LateEvent>(record));
    }
  }
  return events;
}

Outcome SpeedHarness::Committed() {
  Outcome outcome;
  for (int partition = 0; partition < partitions; ++partition) {
    for (const auto& [key, record] : Latest(topics.speed_views, partition)) {
      if (key == kProgressKey) {
        v1::Progress progress = Parsed<v1::Progress>(record);
        progress.mutable_position()->clear_group_generation();
        progress.clear_instance();
        outcome.totals[partition] = progress.ShortDebugString();
      } else {
        v1::SpeedView view = Parsed<v1::SpeedView>(record);
        view.clear_position();
        outcome.views[{partition, key}] = view.SerializeAsString();
      }
    }
    for (const auto& [key, record] : Latest(topics.live_counts, partition)) {
      v1::LiveCounts counts = Parsed<v1::LiveCounts>(record);
      counts.clear_position();
      counts.clear_record_time_unix_ms();  // Of the flush that wrote it.
      outcome.counts[{partition, key}] = counts.SerializeAsString();
    }
  }
  for (const v1::DeadLetter& letter : DeadLetters()) outcome.dead_letters.insert(letter.SerializeAsString());
  for (const v1::LateEvent& event : LateEvents()) outcome.late_events.insert(event.SerializeAsString());
  return outcome;
}

}  // namespace tributary::speed
