// What never comes into an answer.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/merge/merge_world.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MergeSuppressionTest : public ::testing::Test {
 protected:
  MergeSuppressionTest() {
    for (const std::string id : {"a", "b", "c", "d"}) {
      world.Put(id);
    }
    world.personal = {{"a", 4}, {"b", 3}, {"c", 2}, {"d", 1}};
  }
  MergeWorld world;
};

constexpr int64_t kNow = MergeWorld::kNow;
constexpr int64_t kMinute = MergeWorld::kMinute;
constexpr int64_t kDay = MergeWorld::kDay;

TEST_F(MergeSuppressionTest, WithoutDecisionsTheListIsServedInItsOrder) {
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
}

struct DecisionStep {
  bool live;              // Else in the snapshot.
  EventType kind;
  int64_t age_ms;
  double value = 0;
};
struct DecisionCase {
  std::string name;
  std::vector<DecisionStep> steps;   // All on item `b`.
  bool shown;
};

class MergeDecisionTest : public MergeSuppressionTest, public ::testing::WithParamInterface<DecisionCase> {};

TEST_P(MergeDecisionTest, LatestDecisionHolds) {
  for (const DecisionStep& step : GetParam().steps) {
    if (step.live) {
      world.Live(step.kind, "b", kNow - step.age_ms, step.value);
    } else {
      world.Before(step.kind, "b", kNow - step.age_ms, step.value);
    }
  }
  if (GetParam().shown) {
    EXPECT_THAT(world.Ask(), ::testing::UnorderedElementsAre("a", "b", "c", "d"));
  } else {
    EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "d"));
  }
}

constexpr bool kSnapshot = false;
constexpr bool kLive = true;

INSTANTIATE_TEST_SUITE_P(
    All, MergeDecisionTest,
    ::testing::Values(
        DecisionCase{"BoughtInSnapshot", {{kSnapshot, v1::PURCHASE, kDay}}, false},
        DecisionCase{"BoughtLive", {{kLive, v1::PURCHASE, 0}}, false},
        DecisionCase{"BoughtAheadOfOurClock", {{kLive, v1::PURCHASE, -kMinute}}, false},
        DecisionCase{"BoughtJustInsideTheSuppression", {{kSnapshot, v1::PURCHASE, 30 * kDay - 1}}, false},
        DecisionCase{"BoughtLongAgo", {{kSnapshot, v1::PURCHASE, 30 * kDay}}, true},
        DecisionCase{"ReturnedLiveAfterSnapshotPurchase", {{kSnapshot, v1::PURCHASE, kDay}, {kLive, v1::RETURN, 0}}, true},
        DecisionCase{"BoughtAgainAfterReturn", {{kSnapshot, v1::RETURN, kDay}, {kLive, v1::PURCHASE, 0}}, false},
        DecisionCase{"LateReturnOlderThanPurchase", {{kSnapshot, v1::PURCHASE, kDay}, {kLive, v1::RETURN, 2 * kDay}}, false},
        DecisionCase{"LatePurchaseOlderThanReturn", {{kLive, v1::RETURN, kDay}, {kLive, v1::PURCHASE, 2 * kDay}}, true},
        DecisionCase{"DislikedInSnapshotHoldsForGood", {{kSnapshot, v1::DISLIKE, 4000 * kDay}}, false},
        DecisionCase{"DislikedLive", {{kLive, v1::DISLIKE, 0}}, false},
        DecisionCase{"LikedAfterDislike", {{kSnapshot, v1::DISLIKE, kDay}, {kLive, v1::LIKE, 0}}, true},
        DecisionCase{"DislikedAfterLike", {{kSnapshot, v1::LIKE, kDay}, {kLive, v1::DISLIKE, 0}}, false},
        DecisionCase{"LateLikeOlderThanDislike", {{kSnapshot, v1::DISLIKE, kDay}, {kLive, v1::LIKE, 2 * kDay}}, false},
        DecisionCase{"RatedAtTheLimit", {{kLive, v1::RATING, 0, 2}}, false},
        DecisionCase{"RatedAboveTheLimit", {{kLive, v1::RATING, 0, 2.000001}}, true},
        DecisionCase{"RatedWellAfterDislike", {{kSnapshot, v1::DISLIKE, kDay}, {kLive, v1::RATING, 0, 5}}, true},
        DecisionCase{"RatedLowAfterLike", {{kSnapshot, v1::LIKE, kDay}, {kSnapshot, v1::RATING, 0, 1}}, false},
        DecisionCase{"ReturnLiftsNoDislike", {{kSnapshot, v1::DISLIKE, kDay}, {kLive, v1::RETURN, 0}}, false},
        DecisionCase{"ViewedStays", {{kLive, v1::VIEW, 0}}, true},
        DecisionCase{"InCartStays", {{kLive, v1::ADD_TO_CART, 0}}, true},
        DecisionCase{"ForgottenPurchaseIsGone", {{kSnapshot, v1::PURCHASE, kDay}, {kLive, v1::FORGET, kMinute}}, true},
        DecisionCase{"PurchaseAfterForgetHolds", {{kSnapshot, v1::FORGET, kDay}, {kLive, v1::PURCHASE, 0}}, false},
        DecisionCase{"LatePurchaseOlderThanForget", {{kSnapshot, v1::FORGET, kDay}, {kLive, v1::PURCHASE, 2 * kDay}}, true}),
    [](const auto& test) { return test.param.name; });

// The seam: the same fact in the view counts only from W on.
TEST_F(MergeSuppressionTest, ALongTermEffectBelowTheWatermarkComesFromTheSnapshotAlone) {
  world.Live(v1::PURCHASE, "b");    // Offset 1000.
  world.watermark = Offset{1000};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "d"));
  world.watermark = Offset{1001};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
  world.Before(v1::PURCHASE, "b", kNow);
  EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "d"));
}

TEST_F(MergeSuppressionTest, EachPartitionHasAWatermarkOfItsOwn) {
  const std::vector<Fact> other = {{.kind = v1::PURCHASE, .item_id = "c", .event_time_unix_ms = kNow, .offset = Offset{5}}};
  world.more_partitions = {{.partition = PartitionId{3}, .watermark = Offset{5}, .facts = other}};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "d"));
  world.more_partitions[0].watermark = Offset{6};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(MergeSuppressionTest, ForgetOnOnePartitionHidesFactsOfAnother) {
  world.Live(v1::PURCHASE, "b", kNow - kDay);
  const std::vector<Fact> other = {{.kind = v1::FORGET, .event_time_unix_ms = kNow - kMinute, .offset = Offset{5}}};
  world.more_partitions = {{.partition = PartitionId{3}, .watermark = Offset{0}, .facts = other}};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(MergeSuppressionTest, AWatermarkBelowTheFloorIsRefused) {
  world.watermark = Offset{9};
  world.floor = Offset{10};
  const absl::Status status = world.TryAsk();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("partition=0 watermark=9 floor=10"));
  world.floor = Offset{9};
  EXPECT_TRUE(world.TryAsk().ok());
}

TEST_F(MergeSuppressionTest, SeenItemsStayAwayOnlyWhenAsked) {
  world.Before(v1::VIEW, "a", kNow - 400 * kDay);
  world.Before(v1::PURCHASE, "b", kNow - 400 * kDay);
  world.Before(v1::LIKE, "c", kNow - 400 * kDay);
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
  world.input.exclude_seen = true;
  EXPECT_THAT(world.Ask(), ElementsAre("d"));
  world.Live(v1::CLICK, "d");
  EXPECT_THAT(world.Ask(), ElementsAre());
}

TEST_F(MergeSuppressionTest, BasketCurrentItemAndShownStayAway) {
  const std::vector<ItemNumber> basket = world.Numbers({"a"});
  const std::vector<ItemNumber> shown = world.Numbers({"c"});
  world.input.basket = basket;
  world.input.current_item = world.Number("b");
  world.input.shown = shown;
  EXPECT_THAT(world.Ask(), ElementsAre("d"));
}

TEST_F(MergeSuppressionTest, DeletedOutOfStockAndOutsideAvailabilityStayAway) {
  world.Delete("a");
  v1::Item item;
  item.set_item_id("b");
  item.set_stock(0);
  world.Put(item);
  item.set_item_id("c");
  item.clear_stock();
  item.mutable_available_from()->set_seconds(kNow / 1000 + 1);
  world.Put(item);
  EXPECT_THAT(world.Ask(), ElementsAre("d"));
}

TEST_F(MergeSuppressionTest, HiddenByRuleOnItemCategoryOrLabel) {
  v1::Item item;
  item.set_item_id("b");
  item.add_categories("lamp");
  world.Put(item);
  item.set_item_id("c");
  item.clear_categories();
  item.add_labels("recalled");
  world.Put(item);
  world.Rule("r1", v1::HIDE).set_item_id("a");
  world.Rule("r2", v1::HIDE).set_category("lamp");
  world.Rule("r3", v1::HIDE).set_label("recalled");
  EXPECT_THAT(world.Ask(), ElementsAre("d"));
}

TEST_F(MergeSuppressionTest, ARuleForAnotherSegmentOrTimeHidesNothing) {
  v1::Rule& vip = world.Rule("r1", v1::HIDE);
  vip.set_item_id("a");
  vip.set_segment("vip");
  v1::Rule& over = world.Rule("r2", v1::HIDE);
  over.set_item_id("b");
  over.mutable_end()->set_seconds(kNow / 1000);
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c", "d"));
  world.input.segment = "vip";
  EXPECT_THAT(world.Ask(), ElementsAre("b", "c", "d"));
}

TEST_F(MergeSuppressionTest, ADislikedItemIsNoSeedAndNoFallbackEither) {
  world.Live(v1::VIEW, "b", kNow - kMinute);
  world.Live(v1::DISLIKE, "b");
  world.Put("n");
  world.neighbours["b"] = {{"n", 1}};
  world.popular = {{"b", 9}};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "d"));
}

TEST_F(MergeSuppressionTest, APinDoesNotBringBackWhatIsSuppressed) {
  world.Live(v1::DISLIKE, "b");
  world.Rule("r", v1::PIN, 1).set_item_id("b");
  EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "d"));
}

class MergeFilterTest : public ::testing::Test {
 protected:
  MergeFilterTest() {
    Put("cheap", 1.0, {"lamp", "small"}, {"red"});
    Put("dear", 10.0, {"lamp"}, {"blue"});
    Put("unpriced", -1, {"chair"}, {"red", "blue"});
    world.personal = {{"cheap", 3}, {"dear", 2}, {"unpriced", 1}};
  }
  void Put(const std::string& id, double price, const std::vector<std::string>& categories,
           const std::vector<std::string>& labels) {
    v1::Item item;
    item.set_item_id(id);
    if (price >= 0) {
      item.set_price(price);
    }
    for (const std::string& category : categories) {
      item.add_categories(category);
    }
    for (const std::string& label : labels) {
      item.add_labels(label);
    }
    world.Put(item);
  }
  CategoryNumber Category(const std::string& name) { return world.catalogue->FindCategory(name).value(); }
  LabelNumber Label(const std::string& name) { return world.catalogue->FindLabel(name).value(); }
  MergeWorld world;
};

TEST_F(MergeFilterTest, IncludesAndExcludesByCategoryAndLabel) {
  world.filter = {.only_included_categories = true, .include_categories = {Category("small"), Category("chair")}};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap", "unpriced"));
  world.filter = {.exclude_categories = {Category("small")}};
  EXPECT_THAT(world.Ask(), ElementsAre("dear", "unpriced"));
  world.filter = {.only_included_labels = true, .include_labels = {Label("red")}};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap", "unpriced"));
  world.filter = {.exclude_labels = {Label("blue")}};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap"));
  world.filter = {.exclude_items = {world.Number("dear")}};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap", "unpriced"));
}

TEST_F(MergeFilterTest, InclusionOfUnknownNamesAloneLeavesNothing) {
  world.filter = {.only_included_categories = true};
  EXPECT_THAT(world.Ask(), ElementsAre());
  EXPECT_TRUE(world.result.list_short);
}

TEST_F(MergeFilterTest, PriceBoundsAreInclusiveAndWantAPrice) {
  world.filter = {.min_price = 1.0, .max_price = 1.0};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap"));
  world.filter = {.min_price = 1.5};
  EXPECT_THAT(world.Ask(), ElementsAre("dear"));
  world.filter = {.max_price = 100.0};
  EXPECT_THAT(world.Ask(), ElementsAre("cheap", "dear"));
}

}  // namespace
}  // namespace tributary
