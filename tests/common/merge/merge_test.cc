#include "common/merge/merge.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/merge/merge_world.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kNow = MergeWorld::kNow;
constexpr int64_t kMinute = MergeWorld::kMinute;
constexpr int64_t kDay = MergeWorld::kDay;
constexpr float kClose = 1e-5f;

// The score that the reasons of an item add and multiply up to.
double Explained(const MergeResult& result, const MergedItem& item) {
  double sum = 0;
  double factor = 1;
  for (const MergeReason& reason : result.ReasonsOf(item)) {
    if (reason.kind == MergeReason::Kind::kSource) {
      sum += reason.part;
    } else {
      factor *= reason.part;
    }
  }
  return sum * factor;
}

TEST(MergeTest, ANewcomersListHasAWeightOfItsOwn) {
  MergeWorld world;
  for (const char* id : {"a", "b"}) world.Put(id);
  world.personal = {{"a", 2}, {"b", 1}};
  world.input.weights.newcomer = 0.5;
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b"));
  EXPECT_FLOAT_EQ(world.Answer("b").score, 0.5f);
  world.input.newcomer = true;
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b"));
  EXPECT_FLOAT_EQ(world.Answer("b").score, 0.25f);
  world.input.weights.newcomer = 0;
  EXPECT_THAT(world.Ask(), IsEmpty());
}

TEST(MergeTest, RefusesWhatIsMissingOrOutOfRange) {
  MergeWorld world;
  const auto refused = [&](const std::string& field) {
    const absl::Status status = world.TryAsk();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("field=" + field + " "));
  };
  world.input.limit = 0;
  refused("limit");
  world.input.limit = 1001;
  refused("limit");
  world.input.limit = 20;
  world.input.max_per_category = -1;
  refused("max_per_category");
  world.input.max_per_category = 0;
  world.input.popular_category = CategoryNumber{0};
  refused("popular_category");
  world.input.popular_category.reset();
  world.input.policy = nullptr;
  refused("policy");
  MergeInput nothing;
  EXPECT_EQ(Merge(nothing, &world.scratch, &world.result).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MergeTest, NothingKnownGivesAnEmptyFlaggedAnswer) {
  MergeWorld world;
  world.has_history = false;
  EXPECT_THAT(world.Ask(), IsEmpty());
  EXPECT_TRUE(world.result.unknown_user);
  EXPECT_TRUE(world.result.list_short);
  EXPECT_FALSE(world.result.more);
  EXPECT_FALSE(world.result.truncated);
}

TEST(MergeTest, ListsWithNumbersBeyondTheCatalogueAreReadWithoutThem) {
  MergeWorld world;
  world.Put("a");
  ASSERT_THAT(world.Ask(), IsEmpty());
  const std::vector<ScoredItem> list = {{ItemNumber{7}, 2}, {ItemNumber{0}, 1}};
  world.input.personal = list;
  world.history.Apply(v1::PURCHASE, ItemNumber{9}, {kNow, {}}, 0);
  ASSERT_TRUE(Merge(world.input, &world.scratch, &world.result).ok());
  ASSERT_EQ(world.result.items.size(), 1u);
  EXPECT_EQ(world.result.items[0].item, ItemNumber{0});
  EXPECT_FLOAT_EQ(world.result.items[0].score, 0.5f);
}

TEST(MergeTest, EachSourceIsNormalisedByItsBestAndWeighed) {
  MergeWorld world;
  for (const std::string id : {"a", "b", "n", "seed"}) {
    world.Put(id);
  }
  world.personal = {{"a", 8}, {"b", 4}};
  world.neighbours["seed"] = {{"b", 0.2f}, {"n", 0.1f}};
  world.Live(v1::VIEW, "seed");
  world.policy.category_effects.clear();
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "n"));
  EXPECT_NEAR(world.Answer("a").score, 1.0, kClose);
  EXPECT_NEAR(world.Answer("b").score, 0.5 + 0.5, kClose);     // A tie of rank: the smaller id comes first.
  EXPECT_NEAR(world.Answer("n").score, 0.25, kClose);
  const auto reasons = world.result.ReasonsOf(world.Answer("b"));
  ASSERT_EQ(reasons.size(), 2u);
  EXPECT_EQ(reasons[0].source, CandidateSource::kPersonal);
  EXPECT_NEAR(reasons[0].part, 0.5, kClose);
  EXPECT_EQ(reasons[1].source, CandidateSource::kSession);
  EXPECT_NEAR(reasons[1].part, 0.5, kClose);

  world.input.weights = {.personal = 0.25, .session = 1, .fallback = 0};
  EXPECT_THAT(world.Ask(), ElementsAre("b", "n", "a"));
}

TEST(MergeTest, TiesAreBrokenByItemIdAfterRounding) {
  MergeWorld world;
  for (const std::string id : {"c", "b", "a"}) {
    world.Put(id);
  }
  world.personal = {{"c", 1.0000001f}, {"b", 1.0f}, {"a", 1.0f}};
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b", "c"));
}

TEST(MergeTest, AViewBoostsItsCategoryAndSaysWhy) {
  MergeWorld world;
  world.Put("seen", {"lamp"});
  world.Put("chair", {"chair"});
  world.Put("lamp", {"lamp"});
  world.personal = {{"chair", 1}, {"lamp", 0.9f}};
  EXPECT_THAT(world.Ask(), ElementsAre("chair", "lamp"));
  world.Live(v1::VIEW, "seen", kNow - 30 * kMinute);
  world.Live(v1::VIEW, "seen", kNow);
  EXPECT_THAT(world.Ask(), ElementsAre("lamp", "chair"));
  EXPECT_NEAR(world.Answer("lamp").score, 0.9 * 1.45, kClose);   // 0.3 + 0.3 / 2.
  const auto reasons = world.result.ReasonsOf(world.Answer("lamp"));
  ASSERT_EQ(reasons.size(), 2u);
  EXPECT_EQ(reasons[1].kind, MergeReason::Kind::kCategoryBoost);
  EXPECT_EQ(world.catalogue->CategoryName(reasons[1].category), "lamp");
  EXPECT_NEAR(reasons[1].part, 1.45, kClose);
  EXPECT_EQ(reasons[1].causes, 2);
  const EventCause strongest{
      .type = v1::VIEW, .position = {PartitionId{0}, Offset{1001}}, .event_time_unix_ms = kNow};
  EXPECT_EQ(reasons[1].cause, strongest);
  EXPECT_EQ(world.Answer("chair").reason_count, 1u);
}

v1::Item ItemOf(const std::string& id, const std::vector<std::string>& categories, const std::vector<std::string>& labels) {
  v1::Item item;
  item.set_item_id(id);
  item.mutable_categories()->Add(categories.begin(), categories.end());
  item.mutable_labels()->Add(labels.begin(), labels.end());
  return item;
}

TEST(MergeTest, ASearchBoostsTheLabelsAndCategoriesThatItNames) {
  MergeWorld world;
  world.Put(ItemOf("plain", {"chair"}, {"blue"}));
  world.Put(ItemOf("red", {"chair"}, {"red", "garden"}));
  world.Put(ItemOf("lamp", {"lamp"}, {"Art Deco"}));
  world.personal = {{"plain", 1}, {"red", 0.9f}, {"lamp", 0.8f}};
  world.Live(v1::SEARCH, "").text = "RED lamp red";
  EXPECT_THAT(world.Ask(), ElementsAre("red", "lamp", "plain"));
  EXPECT_NEAR(world.Answer("red").score, 0.9 * 1.3, kClose);   // Once, though named twice.
  const auto reasons = world.result.ReasonsOf(world.Answer("red"));
  ASSERT_EQ(reasons.size(), 2u);
  EXPECT_EQ(reasons[1].kind, MergeReason::Kind::kLabelBoost);
  EXPECT_EQ(world.catalogue->LabelName(reasons[1].label), "red");
  EXPECT_NEAR(reasons[1].part, 1.3, kClose);
  EXPECT_EQ(reasons[1].causes, 1);
  EXPECT_EQ(reasons[1].cause.type, v1::SEARCH);
  const auto category = world.result.ReasonsOf(world.Answer("lamp"));
  ASSERT_EQ(category.size(), 2u);
  EXPECT_EQ(category[1].kind, MergeReason::Kind::kCategoryBoost);

  world.facts.clear();
  world.Live(v1::SEARCH, "").text = " Art Deco ";   // A label of two words.
  EXPECT_NEAR((world.Ask(), world.Answer("lamp").score), 0.8 * 1.3, kClose);
}

TEST(MergeTest, BoostsOfLabelsAndCategoriesAddUpToTheCapAndTheirReasonsMultiplyToIt) {
  MergeWorld world;
  world.Put(ItemOf("red lamp", {"lamp"}, {"red"}));
  world.personal = {{"red lamp", 1}};
  for (int i = 0; i < 6; ++i) {
    world.Live(v1::SEARCH, "").text = "red";
  }
  world.Live(v1::ADD_TO_CART, "red lamp");
  world.Ask();
  EXPECT_NEAR(world.Answer("red lamp").score, 1 + 2, kClose);   // 6 * .3 + .5, cut to 2.
  EXPECT_NEAR(Explained(world.result, world.Answer("red lamp")), 3, kClose);
  world.policy.category_effects.clear();
  world.Ask();
  EXPECT_NEAR(world.Answer("red lamp").score, 1, kClose);
}

struct BoostCase {
  std::string name;
  EventType kind;
  int64_t age_ms;
  double value;
  double factor;   // Of an item of the same category.
};

class MergeBoostTest : public ::testing::TestWithParam<BoostCase> {};

TEST_P(MergeBoostTest, FollowsThePolicy) {
  MergeWorld world;
  world.Put("cause", {"lamp"});
  world.Put("other", {"lamp"});
  world.personal = {{"other", 1}};
  world.Live(GetParam().kind, "cause", kNow - GetParam().age_ms, GetParam().value);
  EXPECT_THAT(world.Ask(), ElementsAre("other"));
  EXPECT_NEAR(world.Answer("other").score, GetParam().factor, kClose);
}

INSTANTIATE_TEST_SUITE_P(
    All, MergeBoostTest,
    ::testing::Values(BoostCase{"ViewNow", v1::VIEW, 0, 0, 1.3},
                      BoostCase{"ViewOneHalfLifeAgo", v1::VIEW, 30 * kMinute, 0, 1.15},
                      BoostCase{"ViewThreeHalfLivesAgo", v1::VIEW, 90 * kMinute, 0, 1.0375},
                      BoostCase{"ViewFaded", v1::VIEW, 11 * 30 * kMinute, 0, 1},
                      BoostCase{"ViewAheadOfOurClock", v1::VIEW, -5 * kMinute, 0, 1.3},
                      BoostCase{"Click", v1::CLICK, 0, 0, 1.3},
                      BoostCase{"Cart", v1::ADD_TO_CART, 0, 0, 1.5},
                      BoostCase{"Like", v1::LIKE, kDay, 0, 1.25},
                      BoostCase{"DislikeDivides", v1::DISLIKE, 0, 0, 1 / 1.5},
                      BoostCase{"LowRatingIsADislike", v1::RATING, 0, 1, 1 / 1.5},
                      BoostCase{"HighRatingIsNothing", v1::RATING, 0, 5, 1},
                      BoostCase{"Purchase", v1::PURCHASE, 0, 0, 1},
                      BoostCase{"Return", v1::RETURN, 0, 0, 1}),
    [](const auto& test) { return test.param.name; });

TEST(MergeTest, BoostsOfAnItemAddUpToTheCap) {
  MergeWorld world;
  world.Put("cause", {"lamp", "light"});
  world.Put("one", {"lamp"});
  world.Put("both", {"lamp", "light"});
  world.personal = {{"one", 1}, {"both", 1}};
  world.Live(v1::LIKE, "cause");
  world.Ask();
  EXPECT_NEAR(world.Answer("one").score, 1.5, kClose);
  EXPECT_NEAR(world.Answer("both").score, 2, kClose);
  for (int i = 0; i < 20; ++i) {
    world.Live(v1::LIKE, "cause");
  }
  world.Ask();
  EXPECT_NEAR(world.Answer("one").score, 3, kClose);
  EXPECT_NEAR(world.Answer("both").score, 3, kClose);
  for (int i = 0; i < 100; ++i) {
    world.Live(v1::DISLIKE, "cause");
  }
  world.Ask();
  EXPECT_NEAR(world.Answer("both").score, 1 / 3.0, kClose);
}

TEST(MergeTest, AShortTermEffectDoesNotAskForTheWatermark) {
  MergeWorld world;
  world.Put("cause", {"lamp"});
  world.Put("other", {"lamp"});
  world.personal = {{"other", 1}};
  world.Live(v1::VIEW, "cause");
  world.recent = {{.kind = v1::VIEW, .item_id = "cause", .event_time_unix_ms = kNow, .offset = Offset{3}}};
  for (const int64_t watermark : {0, 1000, 5000}) {
    world.watermark = Offset{watermark};
    world.Ask();
    EXPECT_NEAR(world.Answer("other").score, 1.6, kClose) << watermark;
  }
}

TEST(MergeTest, ForgetTakesBoostsAway) {
  MergeWorld world;
  world.Put("cause", {"lamp"});
  world.Put("other", {"lamp"});
  world.personal = {{"other", 1}};
  world.Live(v1::VIEW, "cause", kNow - kMinute);
  world.Live(v1::FORGET, "", kNow);
  world.Ask();
  EXPECT_NEAR(world.Answer("other").score, 1, kClose);
}

TEST(MergeTest, SessionAddsNeighboursOfTheLatestItemsMost) {
  MergeWorld world;
  for (const std::string id : {"old", "new", "of old", "of new", "of both", "below"}) {
    world.Put(id);
  }
  world.neighbours["old"] = {{"of old", 1}, {"of both", 0.5f}};
  world.neighbours["new"] = {{"of new", 1}, {"of both", 0.5f}, {"old", 0.1f}};
  world.Live(v1::VIEW, "below");
  world.neighbours["below"] = {{"below", 1}};
  world.watermark = Offset{1001};
  world.Live(v1::CLICK, "old", kNow - kMinute);
  world.Live(v1::PURCHASE, "new", kNow);
  EXPECT_THAT(world.Ask(), ElementsAre("of new", "of both", "of old", "old"));
  EXPECT_NEAR(world.Answer("of new").score, 0.5, kClose);
  EXPECT_NEAR(world.Answer("of both").score, 0.5 * (0.5 + 0.45), kClose);
  EXPECT_NEAR(world.Answer("of old").score, 0.5 * 0.9, kClose);
}

TEST(MergeTest, AnAnonymousVisitorGetsNeighboursOfRecentItemsBasketAndCurrentItem) {
  MergeWorld world;
  world.has_history = false;
  for (const std::string id : {"r1", "r2", "basket", "current", "n1", "n2", "n3", "n4"}) {
    world.Put(id);
  }
  world.neighbours["current"] = {{"n1", 1}};
  world.neighbours["basket"] = {{"n2", 1}};
  world.neighbours["r2"] = {{"n3", 1}};
  world.neighbours["r1"] = {{"n4", 1}};
  const std::vector<ItemNumber> recent = world.Numbers({"r1", "r2"});
  const std::vector<ItemNumber> basket = world.Numbers({"basket"});
  world.input.recent_items = recent;
  world.input.basket = basket;
  world.input.current_item = world.Number("current");
  EXPECT_THAT(world.Ask(), ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_FALSE(world.result.unknown_user);
}

class MergeSessionTest : public testing::Test {
 protected:
  MergeSessionTest() {
    for (const std::string id : {"a", "b", "c", "d", "e", "f"}) {
      world_.Put(id);
    }
    const auto number = [&](const std::string& id) { return Value(world_.Number(id)); };
    arrays_ = SessionIndexArrays::Build({{1, {number("a"), number("c")}},
                                         {2, {number("b"), number("d")}},
                                         {3, {number("b"), number("d")}},
                                         {4, {number("e"), number("f")}}},
                                        6, 10);
    neighbours_.emplace(arrays_.index(), SessionNeighbourOptions());
    world_.input.sessions = &*neighbours_;
  }

  MergeWorld world_;
  SessionIndexArrays arrays_;
  std::optional<SessionNeighbours> neighbours_;
};

TEST_F(MergeSessionTest, PastSessionsLikeTheCurrentOneSayWhatComesNext) {
  world_.neighbours["b"] = {{"f", 1}};   // Not asked.
  world_.Live(v1::VIEW, "a", kNow - 2 * kMinute);
  world_.Live(v1::CLICK, "b", kNow - kMinute);
  EXPECT_THAT(world_.Ask(), ElementsAre("b", "d", "a", "c"));
  EXPECT_NEAR(world_.Answer("d").score, 0.5 * std::exp2(-0.5), kClose);
  const auto reasons = world_.result.ReasonsOf(world_.Answer("d"));
  ASSERT_EQ(reasons.size(), 1u);
  EXPECT_EQ(reasons[0].source, CandidateSource::kSession);
}

TEST_F(MergeSessionTest, ASessionEndsAfterAGapAndGoesOnAcrossW) {
  world_.Live(v1::VIEW, "a", kNow - 50 * kMinute);
  world_.Live(v1::VIEW, "b", kNow - 10 * kMinute);
  EXPECT_THAT(world_.Ask(), ElementsAre("b", "d"));
  world_.facts[0].event_time_unix_ms = kNow - 40 * kMinute;
  const std::vector<std::string> both = world_.Ask();
  EXPECT_THAT(both, ElementsAre("b", "d", "a", "c"));
  world_.watermark = Offset{2000};
  EXPECT_EQ(world_.Ask(), both);
}

TEST_F(MergeSessionTest, ASessionIdHoldsASessionTogether) {
  world_.Live(v1::VIEW, "a", kNow - 50 * kMinute).session_id = "s";
  world_.Live(v1::VIEW, "e", kNow - 5 * kMinute);
  world_.Live(v1::VIEW, "b", kNow).session_id = "s";
  EXPECT_THAT(world_.Ask(), ElementsAre("b", "d", "a", "c"));
}

TEST_F(MergeSessionTest, ItemsOfNoSessionAreContinuedByTheirNeighbours) {
  world_.Put("g");
  world_.neighbours["g"] = {{"f", 1}};
  world_.input.current_item = world_.Number("g");
  EXPECT_THAT(world_.Ask(), ElementsAre("f"));
}

TEST_F(MergeSessionTest, LiveSessionsCountBesideStoredOnesButNotOnesOwn) {
  LiveSessionIndex live({}, arrays_.index());
  LiveSessionIndex::Session session{.user = 7, .id = 1, .time_unix_ms = kNow};
  session.items = {Value(world_.Number("a")), Value(world_.Number("f"))};
  session.item_times = {kNow - 1, kNow};
  live.SetUser(7, {session});
  world_.input.live_sessions = &live;
  world_.Live(v1::VIEW, "a", kNow);
  world_.input.user_key = 8;
  EXPECT_THAT(world_.Ask(), ElementsAre("a", "c", "f"));
  world_.input.user_key = 7;
  EXPECT_THAT(world_.Ask(), ElementsAre("c", "a"));
}

TEST(MergeTest, ItemsThatMustNotBeShownTakeNoPlaceAmongSessionCandidates) {
  MergeWorld world;
  world.Put("seed");
  MergeWorld::List list;
  for (int i = 0; i < 200; ++i) {
    const std::string id = absl::StrCat("n", 1000 + i);
    world.Put(id);
    list.emplace_back(id, static_cast<float>(200 - i));
    if (i < 110) {
      world.Before(v1::DISLIKE, id, kNow - kDay);
    }
  }
  world.neighbours["seed"] = list;
  world.Live(v1::VIEW, "seed");
  world.input.limit = 3;
  EXPECT_THAT(world.Ask(), ElementsAre("n1110", "n1111", "n1112"));
}

TEST(MergeTest, TheLadderFillsUpByCategoryThenPopular) {
  MergeWorld world;
  world.Put("mine", {"lamp"});
  world.Put("list", {"lamp"});
  world.Put("lamp1", {"lamp"});
  world.Put("lamp2", {"lamp"});
  world.Put("top1", {"chair"});
  world.Put("top2", {"chair"});
  world.personal = {{"list", 1}};
  world.Before(v1::PURCHASE, "mine", kNow - kDay);
  world.popular_in["lamp"] = {{"list", 7}, {"lamp1", 5}, {"mine", 4}, {"lamp2", 1}};
  world.popular = {{"top1", 100}, {"lamp1", 90}, {"top2", 50}};
  EXPECT_THAT(world.Ask(), ElementsAre("list", "lamp1", "top1", "top2", "lamp2"));
  const MergeReason& category = world.result.ReasonsOf(world.Answer("lamp1"))[0];
  EXPECT_EQ(category.source, CandidateSource::kCategoryPopular);
  EXPECT_NEAR(category.part, 0.1 * 5 / 7, kClose);
  const MergeReason& popular = world.result.ReasonsOf(world.Answer("top2"))[0];
  EXPECT_EQ(popular.source, CandidateSource::kPopular);
  EXPECT_NEAR(popular.part, 0.1 * 0.5 * 0.5, kClose);
  EXPECT_FALSE(world.result.unknown_user);
  EXPECT_TRUE(world.result.list_short);

  world.input.limit = 1;   // The list alone is enough but for knowing whether there is more.
  EXPECT_THAT(world.Ask(), ElementsAre("list"));
  EXPECT_TRUE(world.result.more);
  EXPECT_FALSE(world.result.list_short);
}

TEST(MergeTest, AnUnknownUserGetsPopularItemsAndTheFlag) {
  MergeWorld world;
  world.has_history = false;
  world.Put("a");
  world.Put("b");
  world.popular = {{"b", 2}, {"a", 1}};
  EXPECT_THAT(world.Ask(), ElementsAre("b", "a"));
  EXPECT_TRUE(world.result.unknown_user);
  world.Live(v1::SEARCH, "");
  world.Ask();
  EXPECT_FALSE(world.result.unknown_user);
}

TEST(MergeTest, RulesMultiplyAndSaySo) {
  MergeWorld world;
  v1::Item item;
  item.set_item_id("a");
  item.add_categories("lamp");
  item.add_labels("eco");
  world.Put(item);
  world.Put("b");
  world.personal = {{"b", 1}, {"a", 0.5f}};
  world.Rule("r1", v1::BOOST, 1).set_item_id("a");
  world.Rule("r2", v1::BOOST, 2).set_category("lamp");
  world.Rule("r3", v1::BURY, 1).set_label("eco");
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b"));
  EXPECT_NEAR(world.Answer("a").score, 0.5 * 2 * 3 / 2, kClose);
  const auto reasons = world.result.ReasonsOf(world.Answer("a"));
  ASSERT_EQ(reasons.size(), 4u);
  EXPECT_EQ(world.rule_set.rule(reasons[3].rule).rule_id, "r3");
  EXPECT_NEAR(reasons[3].part, 0.5, kClose);
}

TEST(MergeTest, PinsComeFirstByStrengthThenItemId) {
  MergeWorld world;
  for (const std::string id : {"a", "b", "p", "q", "r"}) {
    world.Put(id);
  }
  world.personal = {{"a", 2}, {"q", 1}};
  world.Rule("r1", v1::PIN, 1).set_item_id("q");
  world.Rule("r2", v1::PIN, 5).set_item_id("r");
  world.Rule("r3", v1::PIN, 1).set_item_id("p");
  EXPECT_THAT(world.Ask(), ElementsAre("r", "p", "q", "a"));
  EXPECT_EQ(world.Answer("r").score, 0);
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("r"))[0].source, CandidateSource::kPinned);
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("q"))[0].source, CandidateSource::kPersonal);
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("q"))[1].part, 1);
}

TEST(MergeTest, TheDiversityCapCountsMainCategories) {
  MergeWorld world;
  world.Put("l1", {"lamp", "light"});
  world.Put("l2", {"lamp"});
  world.Put("l3", {"light", "lamp"});
  world.Put("n1");
  world.Put("n2");
  world.Put("p", {"lamp"});
  world.personal = {{"l1", 6}, {"l2", 5}, {"l3", 4}, {"n1", 3}, {"n2", 2}, {"p", 1}};
  world.input.max_per_category = 1;
  EXPECT_THAT(world.Ask(), ElementsAre("l1", "l3", "n1", "n2"));
  EXPECT_TRUE(world.result.more);
  world.Rule("r", v1::PIN, 1).set_item_id("p");
  EXPECT_THAT(world.Ask(), ElementsAre("p", "l3", "n1", "n2"));
}

TEST(MergeTest, WhatTheCapKeepsOutIsMadeUpByTheLadder) {
  MergeWorld world;
  MergeWorld::List list;
  for (int i = 0; i < 50; ++i) {
    const std::string id = absl::StrCat("lamp", i);
    world.Put(id, {"lamp"});
    list.emplace_back(id, 1.0f);
  }
  world.Put("chair", {"chair"});
  world.personal = list;
  world.popular = {{"chair", 1}};
  world.input.max_per_category = 1;
  world.input.limit = 2;
  EXPECT_THAT(world.Ask(), ElementsAre("lamp0", "chair"));
}

TEST(MergeTest, TruncatedUsersAreFlagged) {
  MergeWorld world;
  world.truncated = true;
  world.Ask();
  EXPECT_TRUE(world.result.truncated);
}

TEST(MergeTest, WithoutReasonsTheOrderIsTheSame) {
  MergeWorld world;
  world.Put("a");
  world.Put("b");
  world.personal = {{"b", 2}, {"a", 1}};
  world.input.without_reasons = true;
  EXPECT_THAT(world.Ask(), ElementsAre("b", "a"));
  EXPECT_THAT(world.result.reasons, IsEmpty());
}

TEST(MergeTest, SimilarSumsNeighboursAndKeepsSuppressionsAndRules) {
  MergeWorld world;
  for (const std::string id : {"x", "y", "n1", "n2", "n3", "top"}) {
    world.Put(id, {"lamp"});
  }
  world.neighbours["x"] = {{"y", 9}, {"n1", 1}, {"n2", 0.8f}};
  world.neighbours["y"] = {{"n2", 1}, {"n3", 0.5f}};
  world.popular = {{"top", 1}};
  world.personal = {{"top", 1}};
  world.Live(v1::DISLIKE, "n3");
  world.Rule("r", v1::PIN, 1).set_item_id("top");
  const std::vector<ItemNumber> asked = world.Numbers({"x", "y"});
  world.input.kind = MergeKind::kSimilar;
  world.input.similar_to = asked;
  EXPECT_THAT(world.Ask(), ElementsAre("n2", "n1"));
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("n2"))[0].source, CandidateSource::kNeighbour);
  EXPECT_NEAR(Explained(world.result, world.Answer("n2")), 0.2, kClose);   // 1.8 of y's 9.
  EXPECT_FALSE(world.result.unknown_user);
}

TEST(MergeTest, PopularIsTheListWithFiltersAndRules) {
  MergeWorld world;
  world.Put("a", {"lamp"});
  world.Put("b", {"lamp"});
  world.Put("c", {"chair"});
  world.popular = {{"c", 4}, {"b", 3}, {"a", 2}};
  world.popular_in["lamp"] = {{"b", 3}, {"a", 2}};
  world.Rule("r", v1::BOOST, 1).set_item_id("a");
  world.input.kind = MergeKind::kPopular;
  EXPECT_THAT(world.Ask(), ElementsAre("a", "c", "b"));
  world.input.popular_category = world.catalogue->FindCategory("lamp");
  EXPECT_THAT(world.Ask(), ElementsAre("a", "b"));
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("a"))[0].source, CandidateSource::kCategoryPopular);
  world.input.popular_category.reset();
  world.input.popular_in_segment = true;
  world.input.segment = "gold";
  EXPECT_THAT(world.Ask(), IsEmpty());
  world.popular_among["gold"] = {{"b", 2}};
  EXPECT_THAT(world.Ask(), ElementsAre("b"));
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("b"))[0].source, CandidateSource::kSegmentPopular);
}

TEST(MergeTest, WhatIsTrendingComesBeforeWhatIsPopular) {
  MergeWorld world;
  for (const std::string id : {"a", "b", "c"}) {
    world.Put(id);
  }
  world.popular = {{"a", 5}, {"b", 4}};
  const std::vector<ScoredItem> trending = world.Scored({{"c", 3}, {"b", 1}});
  world.input.trending = trending;
  EXPECT_THAT(world.Ask(), ElementsAre("c", "a", "b"));
  const auto reasons = world.result.ReasonsOf(world.Answer("c"));
  ASSERT_EQ(reasons.size(), 1u);
  EXPECT_EQ(reasons[0].source, CandidateSource::kTrending);
  world.input.limit = 1;
  world.popular = {};
  EXPECT_THAT(world.Ask(), ElementsAre("c"));
}

TEST(MergeTest, TheUsersSegmentIsTheFirstStepOfTheLadder) {
  MergeWorld world;
  for (const std::string id : {"mine", "lamp", "gold", "top"}) {
    world.Put(id, {id == "mine" || id == "lamp" ? "lamp" : "chair"});
  }
  world.Before(v1::PURCHASE, "mine", kNow - kDay);
  world.popular_in["lamp"] = {{"lamp", 5}};
  world.popular = {{"top", 100}};
  world.popular_among["gold"] = {{"gold", 3}};
  EXPECT_THAT(world.Ask(), ElementsAre("lamp", "top"));
  world.input.segment = "gold";
  EXPECT_THAT(world.Ask(), ElementsAre("gold", "lamp", "top"));
  EXPECT_NEAR(world.Answer("gold").score, 0.1, kClose);
  EXPECT_NEAR(world.Answer("lamp").score, 0.1 * 0.5, kClose);
  EXPECT_NEAR(world.Answer("top").score, 0.1 * 0.25, kClose);
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("gold"))[0].source, CandidateSource::kSegmentPopular);
}

TEST(MergeTest, ReasonsAddUpToTheScore) {
  MergeWorld world;
  world.Put("cause", {"lamp", "light", "home"});
  world.Put("dislike", {"light"});
  world.Put("a", {"light", "lamp", "home"});
  world.Put("b", {"home"});
  world.personal = {{"a", 3}, {"b", 2}};
  world.neighbours["cause"] = {{"a", 2}, {"b", 1}};
  world.Live(v1::LIKE, "cause");
  world.Live(v1::VIEW, "cause", kNow - 7 * kMinute);
  world.Live(v1::DISLIKE, "dislike", kNow - kMinute);
  world.Rule("r", v1::BOOST, 0.7).set_category("home");
  ASSERT_EQ(world.Ask().size(), 2u);
  for (const MergedItem& item : world.result.items) {
    EXPECT_NEAR(Explained(world.result, item), item.score, 2e-6 * world.result.items[0].score);
  }
}

}  // namespace
}  // namespace tributary
