#ifndef TRIBUTARY_TESTS_BATCH_LAYER_PIPELINE_RUN_FIXTURE_H_
#define TRIBUTARY_TESTS_BATCH_LAYER_PIPELINE_RUN_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/history/history.h"
#include "batch_layer/pipeline/run.h"
#include "common/config/config.h"
#include "common/snapshot/snapshot.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {

// Batch runs of a small shop over a log in memory.
class RunTest : public testing::Test {
 protected:
  RunTest() : config_(DefaultConfig()) {
    config_.mutable_storage()->set_snapshots_dir(dir_.Join("snapshots"));
    config_.mutable_kafka()->set_segment_size(4);
    config_.mutable_batch()->set_threads(1);
    config_.mutable_batch()->mutable_ials()->set_dimensions(8);
    config_.mutable_batch()->mutable_ials()->set_epochs(2);
    config_.mutable_batch()->set_list_length(5);
    for (const char* topic : {"events", "items", "users", "rules", "snapshots"}) {
      EXPECT_TRUE(log_.CreateTopics({{.name = topic, .partitions = std::string(topic) == "events" ? 2 : 1}}).ok());
    }
    options_.sleep = [](absl::Duration) {};
    options_.poll_timeout = absl::ZeroDuration();
    options_.max_idle_polls = 3;
    OpenHistory("history");
  }
  void OpenHistory(const std::string& name) {
    history_.reset();
    auto opened = History::Open({.dir = dir_.Join(name), .events_topic = "events", .segment_size = 4});
    ASSERT_TRUE(opened.ok()) << opened.status();
    history_ = *std::move(opened);
  }
  void Produce(const std::string& topic, const std::string& key, std::optional<std::string> value, int partition = 0) {
    auto producer = log_.OpenProducer();
    ASSERT_TRUE(producer.ok());
    ProduceRecord record;
    record.topic = topic;
    record.partition = PartitionId{partition};
    record.key = key;
    record.value = std::move(value);
    ASSERT_TRUE((*producer)->Produce(std::move(record), absl::Seconds(1)).ok());
  }
  void Did(const std::string& user, v1::EventType type, const std::string& item, int partition = 0, bool anonymous = false) {
    v1::Event event;
    event.set_user_id(user);
    event.set_type(type);
    event.set_item_id(item);
    event.set_anonymous(anonymous);
    event.set_value(2.5);
    event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
    Produce("events", user, event.SerializeAsString(), partition);
    clock_.Advance(absl::Seconds(1));
  }
  void PutItem(const std::string& id, const std::string& category) {
    v1::Item item;
    item.set_item_id(id);
    item.add_categories(category);
    Produce("items", id, item.SerializeAsString());
  }
  void SomeShopping() {
    for (int user = 0; user < 20; ++user) {
      for (int item = 0; item < 4; ++item) {
        Did(absl::StrCat("u", user), v1::PURCHASE, absl::StrCat("i", (user % 2) * 10 + (user + item) % 6), user % 2);
      }
    }
  }

  absl::StatusOr<RunReport> Run(bool kafka = true) {
    return RunBatch(config_, options_, *history_, kafka ? &log_ : nullptr, clock_);
  }
  std::unique_ptr<SnapshotReader> Open(const RunReport& report) {
    auto reader = SnapshotReader::Open(dir_.Join("snapshots"), Generation{report.manifest.generation()},
                                       SnapshotReader::Verify::kDigest, 1 << 20);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }
  static std::vector<std::string> Names(const SnapshotReader& reader, const v1::ScoredItems& list) {
    std::vector<std::string> names;
    for (const uint32_t item : list.items()) {
      names.push_back(reader.ReadItem(ItemNumber{item})->item_id());
    }
    return names;
  }

  FakeClock clock_;
  FakeEventLog log_{clock_};
  const TempDir dir_;
  v1::Config config_;
  RunOptions options_;
  std::unique_ptr<History> history_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_TESTS_BATCH_LAYER_PIPELINE_RUN_FIXTURE_H_
