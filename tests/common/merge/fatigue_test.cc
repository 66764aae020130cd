#include "common/merge/fatigue.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/merge/merge_world.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kNow = MergeWorld::kNow;
constexpr float kClose = 1e-5f;

// An impression of partition 0, at an offset that says nothing.
Fact Shown(const std::string& id, int64_t event_time, int64_t offset) {
  return {.kind = v1::IMPRESSION, .item_id = id, .event_time_unix_ms = event_time, .offset = Offset{offset}};
}

TEST(FatigueTest, AnItemThatWasShownTooOftenInVainSinksAndSaysWhy) {
  MergeWorld world;
  world.Put("lamp");
  world.Put("chair");
  world.personal = {{"lamp", 1}, {"chair", 0.6f}};
  world.impressions = {Shown("lamp", kNow - 3, 1), Shown("chair", kNow - 2, 2), Shown("lamp", kNow - 1, 3)};
  EXPECT_THAT(world.Ask(), ElementsAre("lamp", "chair")) << "off unless asked for";
  world.policy.fatigue.impressions = 2;
  EXPECT_THAT(world.Ask(), ElementsAre("chair", "lamp"));
  EXPECT_NEAR(world.Answer("lamp").score, 0.5, kClose);
  EXPECT_NEAR(world.Answer("chair").score, 0.6, kClose) << "shown once";
  const auto reasons = world.result.ReasonsOf(world.Answer("lamp"));
  ASSERT_EQ(reasons.size(), 2u);
  EXPECT_EQ(reasons[1].kind, MergeReason::Kind::kFatigue);
  EXPECT_EQ(reasons[1].causes, 2);
  EXPECT_NEAR(reasons[1].part, 0.5, kClose);
  const EventCause latest{
      .type = v1::IMPRESSION, .position = {PartitionId{0}, Offset{3}}, .event_time_unix_ms = kNow - 1};
  EXPECT_EQ(reasons[1].cause, latest);
  world.impressions.push_back(Shown("lamp", kNow, 4));
  world.policy.fatigue.strength = 0.5;
  world.Ask();
  EXPECT_NEAR(world.Answer("lamp").score, 1 / (1 + 0.5 * 2), kClose);
}

TEST(FatigueTest, WhatTheUserDoesWithAnItemEndsItsFatigueOnEitherSideOfW) {
  for (const bool live : {false, true}) {
    MergeWorld world;
    world.Put("lamp");
    world.policy.fatigue.impressions = 2;
    world.personal = {{"lamp", 1}};
    world.impressions = {Shown("lamp", kNow - 30, 1), Shown("lamp", kNow - 20, 2)};
    world.Ask();
    EXPECT_NEAR(world.Answer("lamp").score, 0.5, kClose);
    if (live) {
      world.Live(v1::CLICK, "lamp", kNow - 20);
    } else {
      world.Before(v1::CLICK, "lamp", kNow - 20);
    }
    world.Ask();
    for (const MergeReason& reason : world.result.ReasonsOf(world.Answer("lamp"))) {
      EXPECT_NE(reason.kind, MergeReason::Kind::kFatigue) << "live=" << live;
    }
    world.impressions.push_back(Shown("lamp", kNow - 10, 3));
    world.impressions.push_back(Shown("lamp", kNow - 10, 4));
    world.Ask();
    EXPECT_EQ(world.result.ReasonsOf(world.Answer("lamp")).back().causes, 2) << "it begins anew";
  }
}

TEST(FatigueTest, ImpressionsCountInTheWindowOnAllPartitionsAndNotWhenForgotten) {
  MergeWorld world;
  world.Put("lamp");
  world.policy.fatigue.impressions = 2;
  world.policy.fatigue.window_ms = 1000;
  world.personal = {{"lamp", 1}};
  world.impressions = {Shown("lamp", kNow - 1000, 1), Shown("lamp", kNow - 999, 2), Shown("unheard of", kNow, 3)};
  world.Ask();
  EXPECT_NEAR(world.Answer("lamp").score, 1, kClose) << "one is too old";
  const std::vector<Fact> elsewhere = {Shown("lamp", kNow + 5000, 7)};
  world.more_partitions = {{.partition = PartitionId{1}, .impressions = elsewhere}};
  world.Ask();
  EXPECT_NEAR(world.Answer("lamp").score, 0.5, kClose) << "one ahead of now is new";
  world.Live(v1::FORGET, "", kNow - 999);
  world.Ask();
  EXPECT_NEAR(world.Answer("lamp").score, 1, kClose);
}

}  // namespace
}  // namespace tributary
