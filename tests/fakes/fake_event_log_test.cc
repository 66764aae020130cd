#include "tests/fakes/fake_event_log.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_clock.h"

namespace tributary {
namespace {

using Operation = FakeEventLog::Operation;

struct NoMembership final : GroupMembership {};

class FakeEventLogTest : public ::testing::Test {
 protected:
  FakeEventLogTest() {
    EXPECT_TRUE(log_.CreateTopics({{TopicOptions{.name = "t", .partitions = 2, .compacted = true}}}).ok());
    producer_ = *log_.OpenProducer();
  }
  absl::Status Write(const std::string& key, std::optional<std::string> value) {
    return producer_->Produce({.topic = "t", .partition = PartitionId{0}, .key = key, .value = value}, absl::Seconds(1))
        .status();
  }
  std::vector<std::string> Keys(Isolation isolation) {
    std::vector<std::string> keys;
    for (const LogRecord& record : log_.Records(first_, isolation)) {
      keys.push_back(record.key);
    }
    return keys;
  }

  const TopicPartition first_{"t", PartitionId{0}};
  const TopicPartition second_{"t", PartitionId{1}};
  FakeClock clock_;
  FakeEventLog log_{clock_};
  std::unique_ptr<LogProducer> producer_;
};

TEST_F(FakeEventLogTest, DelayedMarkersHoldTheLastStableOffsetOfTheirPartitionOnly) {
  const auto transactions = *log_.OpenTransactionalProducer("tx");
  log_.DelayMarkers(second_);
  ASSERT_TRUE(transactions->Begin().ok());
  for (const TopicPartition& partition : {first_, second_}) {
    ASSERT_TRUE(transactions->Produce({.topic = "t", .partition = partition.partition, .key = "k", .value = "v"}).ok());
  }
  ASSERT_TRUE(transactions->Commit({}, NoMembership()).ok());
  EXPECT_EQ(log_.Offsets(first_, Isolation::kCommitted)->end, Offset{2});
  EXPECT_EQ(log_.Offsets(second_, Isolation::kCommitted)->end, Offset{0});
  EXPECT_TRUE(absl::IsUnavailable(transactions->Begin()));
  log_.ReleaseMarkers(second_);
  EXPECT_EQ(log_.Offsets(second_, Isolation::kCommitted)->end, Offset{2});
  EXPECT_TRUE(transactions->Begin().ok());
}

TEST_F(FakeEventLogTest, WhatAProducerThatIsGoneLeftOpenExpires) {
  auto gone = *log_.OpenTransactionalProducer("gone");
  const auto alive = *log_.OpenTransactionalProducer("alive");
  const auto begin = [&](TransactionalProducer& producer, const TopicPartition& partition) {
    ASSERT_TRUE(producer.Begin().ok());
    ASSERT_TRUE(producer.Produce({.topic = "t", .partition = partition.partition, .key = "k", .value = "v"}).ok());
  };
  begin(*gone, first_);
  begin(*alive, second_);
  gone.reset();
  EXPECT_EQ(log_.Offsets(first_, Isolation::kCommitted)->end, Offset{0});
  log_.ExpireDeadTransactions();
  EXPECT_EQ(log_.Offsets(first_, Isolation::kCommitted)->end, Offset{2});  // The record and its marker.
  EXPECT_TRUE(alive->Commit({}, NoMembership()).ok());
}

TEST_F(FakeEventLogTest, AProducerWhoseOpeningWasNotToldIsGone) {
  log_.FailNext(Operation::kOpen, 1, absl::UnavailableError("after"), FakeEventLog::When::kAfter);
  EXPECT_EQ(log_.OpenTransactionalProducer("tx").status().message(), "after");
  EXPECT_TRUE(log_.OpenTransactionalProducer("tx").ok());
}

TEST_F(FakeEventLogTest, CompactionKeepsTheLastRecordOfAKeyAndTheEnd) {
  ASSERT_TRUE(Write("a", "1").ok());
  ASSERT_TRUE(Write("b", "1").ok());
  ASSERT_TRUE(Write("a", "2").ok());
  ASSERT_TRUE(Write("b", std::nullopt).ok());
  log_.Compact("t");
  EXPECT_THAT(Keys(Isolation::kCommitted), ::testing::ElementsAre("a", "b"));
  log_.Compact("t", /*tombstones=*/true);
  EXPECT_THAT(Keys(Isolation::kCommitted), ::testing::ElementsAre("a"));
  EXPECT_EQ(log_.Offsets(first_, Isolation::kCommitted)->end, Offset{4});
}

TEST_F(FakeEventLogTest, InjectedFailuresComeInsteadOfTheEffectOrAfterIt) {
  log_.FailNext(Operation::kProduce, 1, absl::UnavailableError("instead"));
  log_.FailNext(Operation::kProduce, 1, absl::UnavailableError("after"), FakeEventLog::When::kAfter);
  EXPECT_EQ(Write("a", "v").message(), "instead");
  EXPECT_THAT(Keys(Isolation::kCommitted), ::testing::IsEmpty());
  EXPECT_EQ(Write("a", "v").message(), "after");
  EXPECT_THAT(Keys(Isolation::kCommitted), ::testing::ElementsAre("a"));
  EXPECT_TRUE(Write("b", "v").ok());
}

TEST_F(FakeEventLogTest, AMemberThatLostItsSessionLearnsSoAndJoinsAgain) {
  const auto member = *log_.JoinGroup({.group = "g", .instance = "a", .topic = "t"});
  ASSERT_EQ(member->Poll(absl::ZeroDuration(), 10)->size(), 1u);
  log_.ExpireMember("g", "a");
  const auto events = *member->Poll(absl::ZeroDuration(), 10);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(std::get<Revoked>(events[0]).lost);
  ASSERT_TRUE(member->AcknowledgeRevoked().ok());
  const auto again = *member->Poll(absl::ZeroDuration(), 10);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(std::get<Assigned>(again[0]).group_generation, 2);
}

TEST_F(FakeEventLogTest, AppendTimeIsThatOfTheBrokerWhichMayStepBack) {
  ASSERT_TRUE(Write("a", "1").ok());
  clock_.Advance(-absl::Hours(1));
  ASSERT_TRUE(Write("b", "1").ok());
  const auto records = log_.Records(first_, Isolation::kCommitted);
  EXPECT_EQ(records[0].append_time_unix_ms - records[1].append_time_unix_ms, absl::ToInt64Milliseconds(absl::Hours(1)));
}

TEST_F(FakeEventLogTest, AnInterruptionLetsSomeOperationsPass) {
  const auto transactions = *log_.OpenTransactionalProducer("tx");
  ASSERT_TRUE(transactions->Begin().ok());
  std::vector<std::string> seen;
  log_.InterruptNext(Operation::kProduce, [&] { seen = Keys(Isolation::kUncommitted); }, /*passing=*/1);
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(transactions->Produce({.topic = "t", .partition = PartitionId{0}, .key = key, .value = "v"}).ok());
  }
  EXPECT_THAT(seen, ::testing::ElementsAre("a"));
}

TEST_F(FakeEventLogTest, PollWakesWhenAnotherThreadWrites) {
  const auto reader = *log_.OpenReader(Isolation::kCommitted);
  ASSERT_TRUE(reader->Start(first_, Offset{0}).ok());
  ASSERT_EQ(reader->Poll(absl::ZeroDuration(), 10)->size(), 1u);  // The end of the partition.
  std::thread writer([&] { EXPECT_TRUE(Write("a", "v").ok()); });
  const auto events = *reader->Poll(absl::Hours(1), 10);
  writer.join();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(std::get<LogRecord>(events[0]).key, "a");
}

}  // namespace
}  // namespace tributary
