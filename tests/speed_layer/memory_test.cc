#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "speed_layer/speed_layer.h"
#include "tests/speed_layer/speed_harness.h"

// The budget of memory: what is written is the same as without it, whatever its disk does.
namespace tributary::speed {
namespace {

constexpr int kUsers = 40;

class MemoryTest : public ::testing::Test {
 protected:
  void Publish(SpeedHarness& harness, int from, int to) {
    for (int i = from; i < to; ++i) {
      harness.Publish({.user = absl::StrCat("user", i % kUsers),
                       .type = i % 3 ? v1::VIEW : v1::PURCHASE,
                       .item = absl::StrCat("item", i),
                       .id = absl::StrCat("e", i % 190)},
                      i % 2);
    }
  }
  Outcome Unbounded() {
    SpeedHarness harness;
    auto layer = harness.Start();
    Publish(harness, 0, 200);
    harness.Settle({layer.get()});
    return harness.Committed();
  }
  void SetBudget(int64_t bytes) { harness_.config.mutable_speed()->set_memory_budget_bytes(bytes); }
  void ExpectABrokenDiskLosesNothing(const std::function<void()>& meanwhile) {
    SetBudget(1);
    auto layer = harness_.Start();
    Publish(harness_, 0, 100);
    harness_.Settle({layer.get()});
    harness_.store.SetBroken(true);
    Publish(harness_, 100, 200);
    meanwhile();
    absl::Status status;
    for (int round = 0; round < 10 && status.ok(); ++round) status = harness_.Round(*layer);
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("the disk does not answer"));
    layer.reset();
    harness_.store.SetBroken(false);
    layer = harness_.Start();
    harness_.Settle({layer.get()});
    EXPECT_EQ(harness_.Committed(), Unbounded());
  }
  double Counter(const std::string& name) { return harness_.registry.AddCounter(name, "").value(); }
  double Gauge(const std::string& name) { return harness_.registry.AddGauge(name, "").value(); }

  SpeedHarness harness_;
};

TEST_F(MemoryTest, UsersBeyondTheBudgetGoToDiskAndComeBackWhenTheyAct) {
  SetBudget(1);
  auto layer = harness_.Start();
  Publish(harness_, 0, 100);
  harness_.Settle({layer.get()});
  for (int p = 0; p < 2; ++p) {
    EXPECT_EQ(layer->partition(PartitionId{p})->users(), 0u);
    EXPECT_EQ(layer->partition(PartitionId{p})->spilled_users(), kUsers / 2u);
  }
  Publish(harness_, 100, 200);  // Repeats among them: the ids come back, too.
  harness_.Settle({layer.get()});
  EXPECT_EQ(harness_.Committed(), Unbounded());
  EXPECT_GT(Counter("tributary_speed_spills_total"), 2 * kUsers - 1);
  EXPECT_EQ(Gauge("tributary_speed_over_budget_bytes"), 0);
}

TEST_F(MemoryTest, ARestoreKeepsToTheBudgetToo) {
  auto layer = harness_.Start();
  Publish(harness_, 0, 100);
  harness_.Settle({layer.get()});
  layer.reset();
  SetBudget(8000);
  layer = harness_.Start();
  while (layer->partition(PartitionId{0}) == nullptr || layer->restoring()) {
    ASSERT_TRUE(harness_.Round(*layer).ok());
  }
  EXPECT_LE(layer->partition(PartitionId{0})->user_bytes(), 4000);
  EXPECT_GT(layer->partition(PartitionId{0})->users(), 0u);
  EXPECT_GT(layer->partition(PartitionId{0})->spilled_users(), 5u);
  Publish(harness_, 100, 200);
  harness_.Settle({layer.get()});
  EXPECT_EQ(harness_.Committed(), Unbounded());
}

TEST_F(MemoryTest, ARisingFloorReachesUsersOnDisk) {
  SetBudget(1);
  auto layer = harness_.Start();
  Publish(harness_, 0, 100);
  harness_.Settle({layer.get()});
  harness_.Announce(Announcement(1, v1::ACTIVATED, 30));
  harness_.Settle({layer.get()});
  for (int user = 0; user < kUsers; user += 2) {
    const auto view = harness_.View(absl::StrCat("user", user), 0);
    ASSERT_TRUE(view);
    for (const v1::Fact& fact : view->facts()) EXPECT_GE(fact.offset(), 30);
  }
  EXPECT_EQ(layer->partition(PartitionId{0})->users(), 0u);
}

TEST_F(MemoryTest, AFullDiskKeepsUsersInMemoryAndSaysSo) {
  SetBudget(2000);
  harness_.store.SetFull(true);
  auto layer = harness_.Start();
  Publish(harness_, 0, 100);
  harness_.Settle({layer.get()});
  EXPECT_EQ(layer->partition(PartitionId{0})->users(), kUsers / 2u);
  EXPECT_GT(Gauge("tributary_speed_over_budget_bytes"), 0);
  EXPECT_EQ(Counter("tributary_speed_spill_failures_total"), 1);  // Not tried again in every round.
  harness_.store.SetFull(false);
  harness_.clock.Advance(absl::Seconds(10));
  Publish(harness_, 100, 200);
  harness_.Settle({layer.get()});
  EXPECT_EQ(Gauge("tributary_speed_over_budget_bytes"), 0);
  EXPECT_LE(layer->partition(PartitionId{0})->user_bytes() + layer->partition(PartitionId{1})->user_bytes(), 2000);
  EXPECT_EQ(harness_.Committed(), Unbounded());
}

TEST_F(MemoryTest, ADiskThatGivesNobodyBackEndsTheInstanceAndNothingIsLost) {
  ExpectABrokenDiskLosesNothing([] {});
}

// The batch that cannot be applied may hold a revocation, which commits what was applied.
TEST_F(MemoryTest, ARevocationBehindAFailedLoadCommitsNothingOfIt) {
  ExpectABrokenDiskLosesNothing([this] { harness_.log.Rebalance("tributary-speed"); });
}

TEST_F(MemoryTest, AnAbortThrowsTheDiskAwayAsWell) {
  SetBudget(1);
  auto layer = harness_.Start();
  Publish(harness_, 0, 100);
  harness_.Settle({layer.get()});
  harness_.log.FailNext(FakeEventLog::Operation::kCommit, 1, absl::AbortedError("injected"));
  Publish(harness_, 100, 200);
  harness_.Settle({layer.get()});
  EXPECT_EQ(harness_.Committed(), Unbounded());
  layer.reset();
  EXPECT_EQ(harness_.store.size(), 0u);
}

}  // namespace
}  // namespace tributary::speed
