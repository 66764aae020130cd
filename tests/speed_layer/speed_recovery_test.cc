#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "speed_layer/speed_layer.h"
#include "tests/speed_layer/speed_harness.h"

// Crashes, aborts, fencing, rebalances, an absent broker, retention: what is committed in the end is what a run without
// any of it commits.
namespace tributary::speed {
namespace {

using ::testing::HasSubstr;
using Operation = FakeEventLog::Operation;
using When = FakeEventLog::When;

// The events of the tests here: repeats, bad and late ones among them, on two partitions.
void PublishMix(SpeedHarness& harness, int from, int to) {
  for (int i = from; i < to; ++i) {
    if (i % 11 == 10) {
      harness.PublishBytes("bad", "{\"nonsense\": true}", i % 2);
    } else {
      harness.Publish({.user = absl::StrCat("user", i % 5),
                       .type = i % 3 ? v1::VIEW : v1::PURCHASE,
                       .item = absl::StrCat("item", i % 7),
                       .time_ms = i % 13 ? kNowMs + i : kNowMs - 3 * kDayMs,
                       .id = absl::StrCat("e", i % 41)},
                      i % 2);
    }
  }
}

constexpr int kEvents = 60;

class SpeedRecoveryTest : public ::testing::Test {
 protected:
  static Outcome Undisturbed() {
    SpeedHarness harness;
    PublishMix(harness, 0, kEvents);
    auto layer = harness.Start();
    harness.Settle({layer.get()});
    return harness.Committed();
  }
  // Half of the events, in step; then the other half, applied and flushed but not committed.
  void StartInTheMiddle() {
    PublishMix(harness_, 0, kEvents / 2);
    layer_ = harness_.Start();
    harness_.Settle({layer_.get()});
    PublishMix(harness_, kEvents / 2, kEvents);
    while (!layer_->in_transaction()) ASSERT_TRUE(harness_.Round(*layer_).ok());
  }
  void ExpectAsUndisturbed() { EXPECT_EQ(harness_.Committed(), Undisturbed()); }
  double Metric(const std::string& name) { return harness_.registry.AddCounter(name, "").value(); }

  SpeedHarness harness_;
  std::unique_ptr<SpeedLayer> layer_;
};

TEST_F(SpeedRecoveryTest, ACrashBetweenAnyTwoRoundsChangesNothing) {
  const Outcome wanted = Undisturbed();
  for (int rounds = 0; rounds < 60; ++rounds) {
    SpeedHarness harness;
    auto layer = harness.Start();
    for (int round = 0; round < rounds; ++round) {
      PublishMix(harness, round, round + 1);
      ASSERT_TRUE(harness.Round(*layer).ok());
    }
    layer.reset();
    PublishMix(harness, rounds, kEvents);
    layer = harness.Start();
    harness.Settle({layer.get()});
    EXPECT_EQ(harness.Committed(), wanted) << "rounds=" << rounds;
  }
}

TEST_F(SpeedRecoveryTest, ACrashWithAnOpenTransactionChangesNothing) {
  StartInTheMiddle();
  layer_.reset();
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, AProducerThatIsOfNoMoreUseIsOpenedAgain) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  harness_.Publish({.user = "ann", .item = "i1"});
  harness_.log.FailNext(Operation::kBegin, 1, absl::UnavailableError("injected: broken"));
  harness_.Settle({layer_.get()});
  EXPECT_EQ(Metric("tributary_speed_aborts_total"), 0);
}

TEST_F(SpeedRecoveryTest, AnAbortedCommitThrowsTheStateAwayAndAppliesAgain) {
  StartInTheMiddle();
  harness_.log.FailNext(Operation::kCommit, 1, absl::AbortedError("injected"));
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();
  EXPECT_EQ(Metric("tributary_speed_aborts_total"), 1);
}

TEST_F(SpeedRecoveryTest, ACommitWhoseAnswerIsLostCountsOnce) {
  for (const When when : {When::kInstead, When::kAfter}) {
    SpeedHarness harness;
    PublishMix(harness, 0, kEvents);
    auto layer = harness.Start();
    harness.log.FailNext(Operation::kCommit, 1, absl::UnavailableError("injected"), when);
    harness.Settle({layer.get()});
    EXPECT_EQ(harness.Committed(), Undisturbed());
  }
}

TEST_F(SpeedRecoveryTest, EveryOperationMayFailAnyTime) {
  const Outcome wanted = Undisturbed();
  for (const Operation operation : {Operation::kOpen, Operation::kPoll, Operation::kProduce, Operation::kBegin,
                                    Operation::kCommit, Operation::kAbort, Operation::kAdmin}) {
    for (int failures = 1; failures <= 4; ++failures) {
      SpeedHarness harness;
      PublishMix(harness, 0, kEvents / 2);
      auto layer = harness.Start();
      // Its first rounds: assignment, restore.
      harness.log.FailNext(operation, failures, absl::UnavailableError("injected at the start"));
      for (int round = 0; round < 20; ++round) ASSERT_TRUE(harness.Round(*layer).ok());
      PublishMix(harness, kEvents / 2, kEvents);
      harness.log.FailNext(operation, failures, absl::UnavailableError("injected in the stream"));
      // An abort happens only when something else fails.
      if (operation == Operation::kAbort)
        harness.log.FailNext(Operation::kCommit, 1, absl::UnavailableError("injected"));
      harness.Settle({layer.get()});
      EXPECT_EQ(harness.Committed(), wanted) << "operation=" << static_cast<int>(operation) << " failures=" << failures;
    }
  }
}

TEST_F(SpeedRecoveryTest, RestoresFromTheProgressAndNeverFromTheOffsetsOfTheGroup) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  layer_.reset();
  // Somebody else's tool moved the group's offsets to the end of what comes now.
  PublishMix(harness_, kEvents, kEvents + 10);
  auto member = *harness_.log.JoinGroup({.group = "tributary-speed", .instance = "one", .topic = "events"});
  while ((*member->Poll(absl::ZeroDuration(), 10)).empty()) {
  }
  auto producer = *harness_.log.OpenTransactionalProducer("tool");
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer
                  ->Commit({{{"events", PartitionId{0}}, Offset{35}}, {{"events", PartitionId{1}}, Offset{35}}},
                           **member->Membership())
                  .ok());
  member.reset();
  ASSERT_EQ(harness_.log.GroupOffsets("tributary-speed").at({"events", PartitionId{0}}), Offset{35});
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  SpeedHarness undisturbed;
  PublishMix(undisturbed, 0, kEvents);
  PublishMix(undisturbed, kEvents, kEvents + 10);
  auto layer = undisturbed.Start();
  undisturbed.Settle({layer.get()});
  EXPECT_EQ(harness_.Committed().counts, undisturbed.Committed().counts);
  EXPECT_EQ(harness_.Progress(0)->accepted(), undisturbed.Progress(0)->accepted());
}

TEST_F(SpeedRecoveryTest, WaitsForMarkersThatAreOnTheirWay) {
  for (const std::string topic : {"speed-views", "live-counts"}) {
    SpeedHarness harness;
    PublishMix(harness, 0, kEvents);
    auto layer = harness.Start("one");
    harness.log.DelayMarkers({topic, PartitionId{0}});
    while (harness.log.GroupOffsets("tributary-speed").empty()) ASSERT_TRUE(harness.Round(*layer).ok());
    // Decided, but one topic does not show it yet. Another instance takes over.
    layer.reset();
    harness.log.ExpireMember("tributary-speed", "one");
    layer = harness.Start("two");
    for (int round = 0; round < 50; ++round) ASSERT_TRUE(harness.Round(*layer).ok());
    EXPECT_EQ(layer->partition(PartitionId{0}), nullptr) << "restored from half of a commit: " << topic;
    EXPECT_NE(layer->partition(PartitionId{1}), nullptr) << "the other partition has to flow";
    harness.log.ReleaseAllMarkers();
    harness.Settle({layer.get()});
    EXPECT_EQ(harness.Committed(), Undisturbed());
  }
}

TEST_F(SpeedRecoveryTest, ABeginThatHasToWaitForMarkersKeepsTheState) {
  PublishMix(harness_, 0, kEvents / 2);
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  harness_.log.DelayMarkers({"speed-views", PartitionId{0}});
  harness_.Publish({.user = "other"});
  while (Metric("tributary_speed_commits_total") < 2) ASSERT_TRUE(harness_.Round(*layer_).ok());
  PublishMix(harness_, kEvents / 2, kEvents);
  for (int round = 0; round < 50; ++round) ASSERT_TRUE(harness_.Round(*layer_).ok());
  EXPECT_FALSE(layer_->in_transaction());
  harness_.log.ReleaseAllMarkers();
  harness_.Settle({layer_.get()});
  EXPECT_EQ(Metric("tributary_speed_aborts_total"), 0);
  EXPECT_EQ(Metric("tributary_speed_restores_total"), 2);
  EXPECT_EQ(harness_.Progress(0)->position().applied_offset(), kEvents / 2 + 1);
}

TEST_F(SpeedRecoveryTest, OtherPartitionsFlowWhileOneIsRestored) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  layer_.reset();
  harness_.log.HoldPartition({"speed-views", PartitionId{0}});
  layer_ = harness_.Start();
  harness_.Publish({.user = "new"}, 1);
  for (int round = 0; round < 100; ++round) ASSERT_TRUE(harness_.Round(*layer_).ok());
  EXPECT_TRUE(layer_->restoring());
  EXPECT_TRUE(harness_.View("new", 1));
  harness_.log.ReleasePartition({"speed-views", PartitionId{0}});
  harness_.Settle({layer_.get()});
}

TEST_F(SpeedRecoveryTest, APartitionMovesWithWhatWasAppliedCommitted) {
  StartInTheMiddle();
  auto two = harness_.Start("two");
  harness_.Settle({layer_.get(), two.get()});
  EXPECT_NE((layer_->partition(PartitionId{0}) == nullptr), (layer_->partition(PartitionId{1}) == nullptr));
  EXPECT_NE((two->partition(PartitionId{0}) == nullptr), (two->partition(PartitionId{1}) == nullptr));
  EXPECT_EQ(Metric("tributary_speed_aborts_total"), 0);
  ExpectAsUndisturbed();
  // And back.
  two.reset();
  harness_.log.ExpireMember("tributary-speed", "two");
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, ARebalanceThatGivesAPartitionBackRestoresNothing) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  const double restores = Metric("tributary_speed_restores_total");
  // From here on nothing could be restored.
  for (int partition : {0, 1}) harness_.log.HoldPartition({"speed-views", PartitionId{partition}});
  harness_.log.Rebalance("tributary-speed");
  harness_.Publish({.user = "new"}, 1);
  for (int round = 0; round < 20; ++round) ASSERT_TRUE(harness_.Round(*layer_).ok());
  EXPECT_TRUE(harness_.View("new", 1, Isolation::kUncommitted));
  EXPECT_EQ(harness_.Progress(1, Isolation::kUncommitted)->position().group_generation(), 2);
  for (int partition : {0, 1}) harness_.log.ReleasePartition({"speed-views", PartitionId{partition}});
  harness_.Settle({layer_.get()});
  EXPECT_EQ(Metric("tributary_speed_restores_total"), restores);
  EXPECT_EQ(Metric("tributary_speed_kept_partitions_total"), 2);
}

TEST_F(SpeedRecoveryTest, APartitionThatSomebodyElseHadMeanwhileIsRestored) {
  PublishMix(harness_, 0, kEvents / 2);
  layer_ = harness_.Start("one");
  auto two = harness_.Start("two");
  harness_.Settle({layer_.get(), two.get()});
  harness_.log.Rebalance("tributary-speed");
  ASSERT_TRUE(harness_.Round(*layer_).ok());        // Gives up what it has,
  harness_.log.ExpireMember("tributary-speed", "one");  // and is out of the group before the next generation.
  PublishMix(harness_, kEvents / 2, kEvents);
  for (int round = 0; round < 20; ++round) ASSERT_TRUE(harness_.Round(*two).ok());
  ASSERT_NE(two->partition(PartitionId{0}), nullptr);
  ASSERT_NE(two->partition(PartitionId{1}), nullptr);
  const double kept = Metric("tributary_speed_kept_partitions_total");
  harness_.Settle({layer_.get(), two.get()});
  EXPECT_EQ(Metric("tributary_speed_kept_partitions_total"), kept + 1) << "that of `two`";
  EXPECT_EQ(harness_.Committed(), Undisturbed());
}

TEST_F(SpeedRecoveryTest, AZombieThatLostItsMembershipCommitsNothing) {
  StartInTheMiddle();
  auto two = harness_.Start("two");
  harness_.log.ExpireMember("tributary-speed", "one");  // It does not know yet, and has a transaction open.
  ASSERT_TRUE(layer_->in_transaction());
  for (int round = 0; round < 5; ++round) ASSERT_TRUE(harness_.Round(*two).ok());
  harness_.clock.Advance(absl::Seconds(1));
  harness_.Settle({layer_.get(), two.get()});
  EXPECT_GE(Metric("tributary_speed_aborts_total"), 1);
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, ASecondInstanceOfTheSameNameFencesTheFirst) {
  StartInTheMiddle();
  auto again = harness_.Start("one");
  absl::Status status;
  for (int round = 0; round < 100 && status.ok(); ++round) status = harness_.Round(*layer_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  layer_.reset();
  harness_.Settle({again.get()});
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, ATransactionThatTheBrokerTimedOutEndsTheInstanceCleanly) {
  StartInTheMiddle();
  harness_.ExpireTransactions();
  absl::Status status;
  for (int round = 0; round < 100 && status.ok(); ++round) status = harness_.Round(*layer_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, AnAbsentBrokerIsWaitedForWithinALimit) {
  StartInTheMiddle();
  harness_.log.SetBrokerAway(true);
  for (int round = 0; round < 3000; ++round) ASSERT_TRUE(harness_.Round(*layer_).ok()) << round;  // 30 s.
  harness_.log.SetBrokerAway(false);
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();

  harness_.log.SetBrokerAway(true);
  absl::Status status;
  int rounds = 0;
  for (; rounds < 40'000 && status.ok(); ++rounds) status = harness_.Round(*layer_);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("gave up after 5m"));
}

TEST_F(SpeedRecoveryTest, AfterAFailureTheCallerIsToldToWait) {
  StartInTheMiddle();
  EXPECT_EQ(layer_->delay(), absl::ZeroDuration());
  harness_.log.SetBrokerAway(true);
  ASSERT_TRUE(layer_->RunOnce().ok());
  EXPECT_GT(layer_->delay(), absl::ZeroDuration());
}

TEST_F(SpeedRecoveryTest, RetentionThatOvertakesTheReaderIsAGap) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  layer_.reset();
  PublishMix(harness_, 0, 40);
  harness_.log.TruncateBefore({"events", PartitionId{0}}, Offset{45});
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  EXPECT_EQ(harness_.Progress(0)->gap_end_offset(), 45);
  EXPECT_EQ(harness_.Progress(0)->position().applied_offset(), 50);
  EXPECT_EQ(harness_.Progress(1)->gap_end_offset(), 0);
  EXPECT_EQ(Metric("tributary_speed_gaps_total"), 1);
}

TEST_F(SpeedRecoveryTest, RetentionThatOvertakesARunningReaderIsAGapToo) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  harness_.log.HoldPartition({"events", PartitionId{0}});
  PublishMix(harness_, 0, 40);
  harness_.log.TruncateBefore({"events", PartitionId{0}}, Offset{45});
  harness_.log.ReleasePartition({"events", PartitionId{0}});
  harness_.Settle({layer_.get()});
  EXPECT_EQ(harness_.Progress(0)->gap_end_offset(), 45);
  EXPECT_EQ(harness_.Progress(0)->position().applied_offset(), 50);
}

TEST_F(SpeedRecoveryTest, ATopicThatWasCreatedAnewStopsTheInstance) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  layer_.reset();
  harness_.log.RecreateTopic("events");
  layer_ = harness_.Start();
  absl::Status status;
  for (int round = 0; round < 100 && status.ok(); ++round) status = harness_.Round(*layer_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("created anew"));
}

TEST_F(SpeedRecoveryTest, CompactedStateRestoresTheSame) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  layer_.reset();
  harness_.log.Compact("speed-views", /*tombstones=*/true);
  harness_.log.Compact("live-counts", /*tombstones=*/true);
  layer_ = harness_.Start();
  harness_.Settle({layer_.get()});
  ExpectAsUndisturbed();
}

TEST_F(SpeedRecoveryTest, CommittedPositionsNeverFall) {
  StartInTheMiddle();
  auto two = harness_.Start("two");
  harness_.Settle({layer_.get(), two.get()});
  layer_.reset();
  PublishMix(harness_, 100, 120);
  harness_.log.ExpireMember("tributary-speed", "one");
  harness_.Settle({two.get()});
  for (int partition = 0; partition < 2; ++partition) {
    std::pair<int64_t, int32_t> last{0, 0};
    for (const LogRecord& record :
         harness_.log.Records({"speed-views", PartitionId{partition}}, Isolation::kCommitted)) {
      if (record.key != kProgressKey) continue;
      v1::Progress progress;
      ASSERT_TRUE(progress.ParseFromString(*record.value));
      const std::pair<int64_t, int32_t> position{progress.position().applied_offset(),
                                                 progress.position().group_generation()};
      EXPECT_GE(position, last);
      EXPECT_GE(position.second, last.second);
      last = position;
    }
    EXPECT_GE(last.second, 2);
  }
}

TEST_F(SpeedRecoveryTest, PartitionsAddedWhileRunningArePickedUp) {
  StartInTheMiddle();
  harness_.Settle({layer_.get()});
  for (const std::string topic : {"speed-views", "live-counts", "events"}) harness_.log.AddPartitions(topic, 3);
  harness_.Publish({.user = "new"}, 2);
  for (int round = 0; round < 100; ++round) ASSERT_TRUE(harness_.Round(*layer_).ok());
  EXPECT_TRUE(harness_.View("new", 2));
}

}  // namespace
}  // namespace tributary::speed
