#include "batch_layer/gate/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "common/config/config.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SnapshotMeasures Shop() {
  SnapshotMeasures shop;
  shop.generation = 4;
  shop.events = 10'000;
  shop.users = 1'000;
  shop.items = 500;
  shop.size_bytes = 1 << 20;
  shop.listed_users = 900;
  shop.listed_items = 400;
  shop.popular_items = 100;
  shop.metrics = {{"ndcg_at_20", 0.2}};
  shop.watermarks = {{PartitionId{0}, Offset{10'000}}};
  return shop;
}

ActiveSnapshot Active(SnapshotMeasures measures = Shop()) {
  return {.measures = std::move(measures), .churn = {.lists = 0.3, .popular = 0.1}};
}

v1::GateConfig Limits() { return DefaultConfig().batch().gate(); }

std::vector<std::string> Failed(const v1::GateVerdict& verdict) {
  std::vector<std::string> names;
  for (const v1::GateCheck& check : verdict.checks()) {
    if (!check.passed()) names.push_back(check.name());
  }
  EXPECT_EQ(verdict.outcome(), names.empty() ? v1::GateVerdict::PASSED : v1::GateVerdict::REFUSED);
  return names;
}

TEST(GateTest, TheSameAgainPasses) {
  SnapshotMeasures candidate = Shop();
  candidate.generation = 5;
  const v1::GateVerdict verdict = Judge(candidate, Active(), Limits());
  EXPECT_THAT(Failed(verdict), IsEmpty());
  EXPECT_EQ(verdict.generation(), 5);
  EXPECT_EQ(verdict.active_generation(), 4);
  EXPECT_THAT(Describe(verdict), HasSubstr("compared with generation 4"));
}

// It says how much changed, so neither a small one nor none at all is a loss.
TEST(GateTest, NoveltyToThePreviousSnapshotIsNoMeasureOfQuality) {
  SnapshotMeasures active = Shop();
  active.metrics["novelty_to_previous_at_20"] = 0.9;
  SnapshotMeasures candidate = Shop();
  EXPECT_THAT(Failed(Judge(candidate, Active(active), Limits())), IsEmpty());
  candidate.metrics["novelty_to_previous_at_20"] = 0.01;
  EXPECT_THAT(Failed(Judge(candidate, Active(active), Limits())), IsEmpty());
}

TEST(GateTest, TheFirstSnapshotPassesEvenWhenItIsEmpty) {
  EXPECT_THAT(Failed(Judge({}, std::nullopt, Limits())), IsEmpty());
  EXPECT_THAT(Failed(Judge(Shop(), std::nullopt, Limits())), IsEmpty());
}

struct Case {
  const char* failed;
  std::function<void(SnapshotMeasures*, ActiveSnapshot*)> change;
};

TEST(GateTest, EachLimitRefusesAloneAndIsNamed) {
  const std::vector<Case> cases = {
      {"events", [](auto* candidate, auto*) { candidate->events = 7'999; }},
      {"events", [](auto* candidate, auto*) { candidate->events = 50'001; }},
      {"users", [](auto* candidate, auto*) { candidate->users = candidate->listed_users = 799; }},
      {"items", [](auto* candidate, auto*) { candidate->items = candidate->listed_items = 399; }},
      {"size_bytes", [](auto* candidate, auto*) { candidate->size_bytes = (5 << 20) + 1; }},
      {"user_coverage", [](auto* candidate, auto*) { candidate->listed_users = 719; }},
      {"item_coverage", [](auto* candidate, auto*) { candidate->listed_items = 319; }},
      {"empty_list_rate", [](auto* candidate, auto*) { candidate->empty_lists = 10; }},
      {"ndcg_at_20", [](auto* candidate, auto*) { candidate->metrics["ndcg_at_20"] = 0.159; }},
      {"ndcg_at_20", [](auto* candidate, auto*) { candidate->metrics.clear(); }},
      {"watermark_0", [](auto* candidate, auto*) { candidate->watermarks[PartitionId{0}] = Offset{9'999}; }},
      {"watermark_0", [](auto* candidate, auto*) { candidate->watermarks.clear(); }},
      {"list_churn", [](auto*, auto* active) { active->churn.lists = 0.51; }},
      {"list_churn", [](auto*, auto* active) { active->churn.lists = std::numeric_limits<double>::quiet_NaN(); }},
      {"popular_churn", [](auto*, auto* active) { active->churn.popular = 0.51; }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    SnapshotMeasures candidate = Shop();
    ActiveSnapshot active = Active();
    cases[i].change(&candidate, &active);
    const v1::GateVerdict verdict = Judge(candidate, active, Limits());
    EXPECT_THAT(Failed(verdict), ElementsAre(cases[i].failed));
    EXPECT_THAT(Describe(verdict), HasSubstr(cases[i].failed));
  }
}

TEST(GateTest, WhatLiesOnALimitPasses) {
  SnapshotMeasures candidate = Shop();
  candidate.events = 8'000;
  candidate.size_bytes = 5 << 20;
  candidate.listed_users = 720;
  candidate.listed_items = 320;
  ActiveSnapshot active = Active();
  active.churn = {.lists = 0.5, .popular = 0.5};
  EXPECT_THAT(Failed(Judge(candidate, active, Limits())), IsEmpty());
}

TEST(GateTest, AMetricThatIsNoNumberIsRefusedInTheFirstSnapshotToo) {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0}) {
    SnapshotMeasures candidate = Shop();
    candidate.metrics["ndcg_at_20"] = value;
    EXPECT_THAT(Failed(Judge(candidate, std::nullopt, Limits())), ElementsAre("ndcg_at_20_measured")) << value;
  }
}

// A young shop: ten users yesterday, a thousand today, and every list is another.
TEST(GateTest, BelowTheLeastUsersOnlyWhatVanishesAndWAreCompared) {
  SnapshotMeasures small;
  small.events = 12;
  small.users = 199;
  small.items = 3;
  small.size_bytes = 100;
  small.listed_users = 9;
  small.listed_items = 3;
  small.metrics = {{"ndcg_at_20", 0.9}};
  small.watermarks = {{PartitionId{0}, Offset{12}}};
  ActiveSnapshot active = Active(small);
  active.churn = {.lists = 1, .popular = 1};
  EXPECT_THAT(Failed(Judge(Shop(), active, Limits())), IsEmpty());
  SnapshotMeasures nothing;
  EXPECT_THAT(Failed(Judge(nothing, active, Limits())), ElementsAre("events", "users", "items", "size_bytes", "watermark_0"));
}

TEST(GateTest, LimitsOfOneSwitchSharesOff) {
  v1::GateConfig limits = Limits();
  limits.set_max_metric_drop(1);
  limits.set_max_coverage_drop(1);
  limits.set_max_shrink(1);
  limits.set_max_list_churn(1);
  SnapshotMeasures candidate = Shop();
  candidate.events = candidate.users = candidate.listed_users = candidate.listed_items = 1;
  candidate.metrics["ndcg_at_20"] = 0;
  ActiveSnapshot active = Active();
  active.churn.lists = 1;
  EXPECT_THAT(Failed(Judge(candidate, active, limits)), IsEmpty());
}

}  // namespace
}  // namespace tributary::batch
