#include "speed_layer/restorer.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "speed_layer/speed_layer.h"
#include "tests/speed_layer/speed_harness.h"

// Restoring on threads; what comes of it is the same as without (speed_recovery_test).
namespace tributary::speed {
namespace {

using Operation = FakeEventLog::Operation;

constexpr int kPartitions = 6;
constexpr int kThreads = 3;
constexpr int kUsers = 50;  // A partition.
constexpr absl::Duration kLimit = absl::Minutes(1);

class RestorerTest : public ::testing::Test {
 protected:
  RestorerTest() {
    for (int p = 0; p < kPartitions; ++p) {
      for (int user = 0; user < kUsers; ++user) {
        harness_.Publish({.user = absl::StrCat("user", user), .item = "lamp", .id = absl::StrCat(p, "-", user)}, p);
      }
    }
    auto layer = harness_.Start();
    harness_.Settle({layer.get()});
    before_ = harness_.Committed();
    harness_.restore_threads = kThreads;
  }
  void RunUntil(SpeedLayer& layer, const std::function<bool()>& reached) {
    const absl::Time limit = absl::Now() + kLimit;
    while (!reached()) {
      ASSERT_LT(absl::Now(), limit) << "waited in vain";
      const absl::Status status = harness_.Round(layer);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void BreakView(int partition) {
    const auto producer = *harness_.log.OpenProducer();
    const ProduceRecord view{
        .topic = "speed-views", .partition = PartitionId{partition}, .key = "user1", .value = "\xff"};
    ASSERT_TRUE(producer->Produce(view, absl::Seconds(1)).ok());
  }
  double Progress(int partition) {
    return harness_.registry
        .AddGauge("tributary_speed_restore_progress_ratio", "", {{"partition", absl::StrCat(partition)}})
        .value();
  }

  SpeedHarness harness_{kPartitions};
  Outcome before_;
};

TEST_F(RestorerTest, PartitionsAreRestoredSideBySide) {
  auto layer = harness_.Start();
  RunUntil(*layer, [&] { return layer->partition(PartitionId{0}) != nullptr && !layer->restoring(); });
  for (int p = 0; p < kPartitions; ++p) {
    ASSERT_NE(layer->partition(PartitionId{p}), nullptr);
    EXPECT_EQ(layer->partition(PartitionId{p})->users(), kUsers);
    EXPECT_EQ(Progress(p), 1);
  }
  EXPECT_EQ(harness_.Committed(), before_);
}

TEST_F(RestorerTest, OtherPartitionsFlowWhileSomeAreRestored) {
  for (int p = 1; p < kThreads; ++p) harness_.log.HoldPartition({"speed-views", PartitionId{p}});
  auto layer = harness_.Start();
  harness_.Publish({.user = "new"}, 0);
  harness_.Publish({.user = "new"}, kPartitions - 1);
  RunUntil(*layer, [&] { return harness_.View("new", 0) && harness_.View("new", kPartitions - 1); });
  EXPECT_TRUE(layer->restoring());
  EXPECT_EQ(layer->partition(PartitionId{1}), nullptr);
  EXPECT_LT(Progress(1), 1);
  for (int p = 1; p < kThreads; ++p) harness_.log.ReleasePartition({"speed-views", PartitionId{p}});
  RunUntil(*layer, [&] { return !layer->restoring(); });
}

TEST_F(RestorerTest, ACrashOrRevocationLetsThreadsGoThatStillWait) {
  for (int p = 0; p < kPartitions; ++p) harness_.log.HoldPartition({"speed-views", PartitionId{p}});
  auto one = harness_.Start();
  RunUntil(*one, [&] { return one->restoring(); });
  auto two = harness_.Start("two");  // Takes half of the partitions away.
  RunUntil(*two, [&] { return harness_.Round(*one).ok() && two->restoring(); });
  one.reset();
  two.reset();
  harness_.log.ExpireDeadMembers("tributary-speed");
  for (int p = 0; p < kPartitions; ++p) harness_.log.ReleasePartition({"speed-views", PartitionId{p}});
  one = harness_.Start();
  RunUntil(*one, [&] { return one->partition(PartitionId{0}) != nullptr && !one->restoring(); });
  EXPECT_EQ(harness_.Committed(), before_);
}

TEST_F(RestorerTest, AFailureBeginsThatPartitionAnew) {
  auto layer = harness_.Start();
  RunUntil(*layer, [&] { return layer->restoring(); });
  harness_.log.FailNext(Operation::kPoll, 20, absl::UnavailableError("away"));
  RunUntil(*layer, [&] { return layer->partition(PartitionId{0}) != nullptr && !layer->restoring(); });
  EXPECT_EQ(harness_.Committed(), before_);
}

// Without threads; a partition that was done was read once more while it waited for the other's failure to be told.
TEST_F(RestorerTest, WhatIsDoneComesOnceAndWholeWhileAnotherPartitionFails) {
  BreakView(1);
  const PartitionSettings settings{.topics = Topics(""),
                                   .segment_size = 8,
                                   .limits = {.facts = 100},
                                   .allowed_lateness = absl::Hours(24),
                                   .instance = "one"};
  Restorer restorer(harness_.log, settings, /*threads=*/0);
  for (int p : {0, 1}) restorer.Begin(PartitionId{p}, 1 << 30);
  absl::StatusOr<std::vector<std::pair<PartitionId, PartitionRestore>>> done = absl::UnavailableError("not begun");
  for (int call = 0; call < 1000 && (!done.ok() || done->empty()); ++call) {
    done = restorer.Poll(absl::ZeroDuration(), 1000);
  }
  ASSERT_TRUE(done.ok()) << done.status();
  ASSERT_EQ(done->size(), 1u);
  size_t records = 0;
  for (const char* topic : {"speed-views", "live-counts"}) {
    records += harness_.log.Records({topic, PartitionId{0}}, Isolation::kCommitted).size();
  }
  EXPECT_EQ(done->front().second.records(), records);
  EXPECT_TRUE(absl::IsDataLoss(restorer.Poll(absl::ZeroDuration(), 1000).status()));
}

TEST_F(RestorerTest, UnreadableStateEndsTheInstance) {
  BreakView(4);
  auto layer = harness_.Start();
  const absl::Time limit = absl::Now() + kLimit;
  absl::Status status;
  while (status.ok() && absl::Now() < limit) status = harness_.Round(*layer);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

}  // namespace
}  // namespace tributary::speed
