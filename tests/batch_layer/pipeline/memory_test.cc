#include "batch_layer/pipeline/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/config.h"

namespace tributary::batch {
namespace {

constexpr int64_t kGib = int64_t{1} << 30;
constexpr RunSize kLarge = {
    .events = 100'000'000, .users = 1'000'000, .items = 100'000, .observations = 70'000'000, .sessions = 500'000};

v1::BatchConfig WithBudget(int64_t bytes) {
  v1::BatchConfig config = DefaultConfig().batch();
  config.set_memory_budget_bytes(bytes);
  return config;
}

TEST(PlanMemoryTest, WithoutABudgetAndWithALargeOneAllEventsLieInMemory) {
  for (const int64_t budget : {int64_t{0}, 100 * kGib}) {
    const auto plan = PlanMemory(kLarge, WithBudget(budget));
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_GE(plan->events_in_memory, 100'000'000u);
    EXPECT_GT(plan->bytes, 5 * kGib);
  }
}

TEST(PlanMemoryTest, ASmallerBudgetSendsEventsThroughTheDisk) {
  auto sparse = kLarge;
  sparse.observations = 20'000'000;
  const auto plan = PlanMemory(sparse, WithBudget(5 * kGib));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_LT(plan->events_in_memory, 20'000'000u);
  EXPECT_LE(plan->bytes, 5 * kGib);
}

TEST(PlanMemoryTest, WhatDoesNotFitIsRefusedWithTheNumber) {
  const absl::Status status = PlanMemory(kLarge, WithBudget(2 * kGib)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("needed_gib="));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("memory_budget_gib=2.00"));
  EXPECT_TRUE(absl::IsResourceExhausted(CheckLearningFits(kLarge, WithBudget(2 * kGib))));
  EXPECT_TRUE(CheckLearningFits(kLarge, WithBudget(0)).ok());
}

TEST(PlanMemoryTest, NeedGrowsWithEverythingThatItRestsOn) {
  const v1::BatchConfig config = WithBudget(0);
  const int64_t least = LearningBytes(kLarge, config);
  for (int64_t RunSize::*count : {&RunSize::users, &RunSize::items, &RunSize::observations, &RunSize::sessions}) {
    RunSize more = kLarge;
    more.*count *= 2;
    EXPECT_GT(LearningBytes(more, config), least);
  }
}

}  // namespace
}  // namespace tributary::batch
