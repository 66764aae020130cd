#include "batch_layer/kafka_range/kafka_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/kafka_range/read_to_end.h"
#include "tests/fakes/temp_dir.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class KafkaRangeTest : public testing::Test {
 protected:
  KafkaRangeTest() {
    EXPECT_TRUE(log_.CreateTopics({{.name = "events", .partitions = 2}}).ok());
    Reopen();
  }
  void Reopen() {
    history_.reset();
    auto opened = History::Open({.dir = dir_.Join("history"), .events_topic = "events", .segment_size = 1024});
    ASSERT_TRUE(opened.ok()) << opened.status();
    history_ = *std::move(opened);
  }
  static TopicPartition Partition(int partition) { return {"events", PartitionId{partition}}; }

  void Produce(int partition, std::optional<std::string> value) {
    auto producer = log_.OpenProducer();
    ASSERT_TRUE(producer.ok());
    ProduceRecord record;
    record.topic = "events";
    record.partition = PartitionId{partition};
    record.key = "k";
    record.value = std::move(value);
    ASSERT_TRUE((*producer)->Produce(std::move(record), absl::Seconds(1)).ok());
  }
  std::string View(const std::string& user, const std::string& event_id = "") {
    v1::Event event;
    event.set_user_id(user);
    event.set_type(v1::VIEW);
    event.set_item_id("i");
    event.set_event_id(event_id);
    event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
    return event.SerializeAsString();
  }
  absl::StatusOr<std::vector<PartitionReport>> Read(size_t events_per_segment = 100) {
    KafkaRangeOptions options;
    options.topic = "events";
    options.events_per_segment = events_per_segment;
    options.poll_timeout = absl::ZeroDuration();
    options.max_idle_polls = 3;
    options.on_progress = [this](const RangeProgress& progress) { progress_.push_back(progress); };
    return ReadKafkaRange(log_, options, *history_);
  }
  std::vector<std::string> Users() {
    std::vector<std::string> users;
    EXPECT_TRUE(history_->Scan({.columns = HistoryColumns::All()}, [&users](const HistoryEvent& row) {
                          users.push_back(absl::StrCat(Value(row.position.partition), "/", Value(row.position.offset), " ",
                                                       row.event.user_id));
                          return absl::OkStatus();
                        }).ok());
    return users;
  }

  FakeClock clock_;
  FakeEventLog log_{clock_};
  const TempDir dir_;
  std::unique_ptr<History> history_;
  std::vector<RangeProgress> progress_;
};

TEST_F(KafkaRangeTest, ProgressIsOfAllPartitionsAndOfThisReadingAlone) {
  Produce(0, View("before"));
  ASSERT_TRUE(Read().ok());
  progress_.clear();
  for (int i = 0; i < 3000; ++i) {
    Produce(0, View("a"));
  }
  Produce(1, View("b"));
  Produce(1, "garbage");
  ASSERT_TRUE(Read().ok());
  ASSERT_EQ(progress_.size(), 4u);  // Twice within partition 0, and at the end of each.
  int64_t last = 0;
  for (const RangeProgress& progress : progress_) {
    EXPECT_EQ(progress.all, 3002);
    EXPECT_GT(progress.done, last);
    last = progress.done;
  }
  EXPECT_EQ(progress_[2].done, 3000);
  EXPECT_EQ(progress_[3].done, 3002);
  EXPECT_EQ(progress_[3].accepted, 3001);
}

TEST_F(KafkaRangeTest, ReadsEveryPartitionToItsEndAndGoesOnFromThere) {
  Produce(0, View("a"));
  Produce(1, View("b"));
  Produce(1, View("c"));
  ASSERT_TRUE(Read().ok());
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "1/0 b", "1/1 c"));
  Reopen();
  Produce(0, View("d"));
  const auto reports = Read();
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_EQ((*reports)[0].begin, Offset{1});
  EXPECT_EQ((*reports)[0].end, Offset{2});
  EXPECT_EQ((*reports)[1].accepted, 0);
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "0/1 d", "1/0 b", "1/1 c"));
}

TEST_F(KafkaRangeTest, RejectedRecordsAndTombstonesAreSkippedAndCounted) {
  Produce(0, "not a message");
  Produce(0, std::nullopt);
  Produce(0, View("a"));
  Produce(0, "{\"user_id\": 7");
  const auto reports = Read();
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_EQ((*reports)[0].rejected, 3);
  EXPECT_EQ((*reports)[0].accepted, 1);
  EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{4});
  EXPECT_THAT(Users(), ElementsAre("0/2 a"));
}

TEST_F(KafkaRangeTest, DuplicatesAreRefusedWithinARunAndAcrossRuns) {
  Produce(0, View("a", "x"));
  Produce(0, View("a", "x"));
  Produce(0, View("b", "x"));
  ASSERT_TRUE(Read().ok());
  Reopen();
  Produce(0, View("a", "x"));
  Produce(1, View("a", "x"));     // Another partition: accepted there.
  const auto reports = Read();
  ASSERT_TRUE(reports.ok());
  EXPECT_EQ((*reports)[0].duplicates, 1);
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "0/2 b", "1/0 a"));
}

TEST_F(KafkaRangeTest, AnIdIsForgottenAfterADayOfRecordTime) {
  Produce(0, View("a", "x"));
  ASSERT_TRUE(Read().ok());
  clock_.Advance(absl::Hours(24) + absl::Milliseconds(1));
  Produce(0, View("a", "x"));
  Reopen();
  ASSERT_TRUE(Read().ok());
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "0/1 a"));
}

// A record whose time lies ahead is judged by the log: a rejected record moves the record time too.
TEST_F(KafkaRangeTest, RecordTimeIsTheRunningMaximumOfAllRecords) {
  Produce(0, View("a"));
  clock_.Advance(absl::Hours(1));
  Produce(0, "rejected");
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(history_->End(PartitionId{0}).record_time_unix_ms, absl::ToUnixMillis(clock_.Now()));
}

// One event at a time in segments, cut at any point, is the same history as in one go.
TEST_F(KafkaRangeTest, WhereARunIsCutDoesNotMatter) {
  for (int i = 0; i < 20; ++i) {
    Produce(0, i % 5 == 4 ? "bad" : View("a", absl::StrCat("id", i % 7)));
  }
  log_.FailNext(FakeEventLog::Operation::kPoll, 1, absl::InternalError("killed"));
  EXPECT_FALSE(Read(1).ok());
  Reopen();
  ASSERT_TRUE(Read(1).ok());
  const std::vector<std::string> in_pieces = Users();
  history_.reset();
  std::filesystem::remove_all(dir_.Join("history"));
  Reopen();
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(Users(), in_pieces);
  EXPECT_EQ(in_pieces.size(), 7u);
}

TEST_F(KafkaRangeTest, ATopicThatEndsBelowItsHistoryStopsLoudly) {
  Produce(0, View("a"));
  Produce(0, View("b"));
  ASSERT_TRUE(Read().ok());
  log_.RecreateTopic("events");
  Produce(0, View("c"));
  const absl::Status status = Read().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("partition=0 end=1 history_end=2"));
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "0/1 b"));
}

TEST_F(KafkaRangeTest, WhatRetentionTookIsRecordedAndReported) {
  Produce(0, View("a"));
  ASSERT_TRUE(Read().ok());
  Produce(0, View("lost"));
  Produce(0, View("b"));
  log_.TruncateBefore(Partition(0), Offset{2});
  const auto reports = Read();
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_EQ((*reports)[0].lost, 1);
  EXPECT_THAT(Users(), ElementsAre("0/0 a", "0/2 b"));
  ASSERT_EQ(history_->manifest().gaps_size(), 1);
  EXPECT_EQ(history_->manifest().gaps(0).begin_offset(), 1);
}

// Transactions leave control records, and what is open lies behind the last stable offset.
TEST_F(KafkaRangeTest, OnlyCommittedRecordsUpToTheLastStableOffset) {
  Produce(0, View("a"));
  auto aborting = log_.OpenTransactionalProducer("t");
  ASSERT_TRUE(aborting.ok());
  ASSERT_TRUE((*aborting)->Begin().ok());
  ASSERT_TRUE((*aborting)->Produce({.topic = "events", .partition = PartitionId{0}, .key = "k", .value = View("aborted")}).ok());
  ASSERT_TRUE((*aborting)->Abort().ok());
  auto open = log_.OpenTransactionalProducer("o");
  ASSERT_TRUE(open.ok());
  ASSERT_TRUE((*open)->Begin().ok());
  ASSERT_TRUE((*open)->Produce({.topic = "events", .partition = PartitionId{0}, .key = "k", .value = View("open")}).ok());
  Produce(0, View("behind"));
  const auto reports = Read();
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_THAT(Users(), ElementsAre("0/0 a"));
  EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{3});     // a, aborted, its marker.
  EXPECT_FALSE((*reports)[0].exhausted);
  EXPECT_TRUE((*reports)[1].exhausted);
}

TEST_F(KafkaRangeTest, ABrokerThatGivesNothingIsUnavailable) {
  Produce(0, View("a"));
  log_.HoldPartition(Partition(0));
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kUnavailable);
  log_.ReleasePartition(Partition(0));
  ASSERT_TRUE(Read().ok());
}

TEST_F(KafkaRangeTest, CompactedTopicsGiveTheLastValueOfEveryKey) {
  ASSERT_TRUE(log_.CreateTopics({{.name = "items", .partitions = 2, .compacted = true}}).ok());
  auto producer = log_.OpenProducer();
  ASSERT_TRUE(producer.ok());
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::optional<std::string>>>{
           {"a", "1"}, {"b", "1"}, {"a", "2"}, {"b", std::nullopt}, {"c", "1"}}) {
    ProduceRecord record;
    record.topic = "items";
    record.key = key;
    record.value = value;
    ASSERT_TRUE((*producer)->Produce(std::move(record), absl::Seconds(1)).ok());
  }
  const auto values = ReadCompacted(log_, "items", {Isolation::kCommitted, absl::ZeroDuration(), 3});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->size(), 3u);
  EXPECT_EQ(values->at("a"), "2");
  EXPECT_EQ(values->at("b"), std::nullopt);
  EXPECT_EQ(ReadCompacted(log_, "none", {}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tributary::batch
