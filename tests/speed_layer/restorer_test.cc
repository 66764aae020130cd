#include "speed_layer/restorer.h"

#include <functional>
#include <memory>
#include <string>

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

TEST_F(RestorerTest, UnreadableStateEndsTheInstance) {
  auto producer = *harness_.log.OpenProducer();
  ASSERT_TRUE(producer
                  ->Produce({.topic = "speed-views", .partition = PartitionId{4}, .key = "user1", .value = "\xff"},
                            absl::Seconds(1))
                  .ok());
  auto layer = harness_.Start();
  const absl::Time limit = absl::Now() + kLimit;
  absl::Status status;
  while (status.ok() && absl::Now() < limit) status = harness_.Round(*layer);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

}  // namespace
}  // namespace tributary::speed
