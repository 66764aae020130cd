// What merge says of one item that was asked about, cause by cause.
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/merge/merge_world.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int64_t kNow = MergeWorld::kNow;

// Items a, b, c of category tea, d of none; a, b, c on the personal list.
void Fill(MergeWorld* world) {
  for (const char* id : {"a", "b", "c"}) {
    world->Put(id, {"tea"});
  }
  world->Put("d");
  world->personal = {{"a", 3}, {"b", 2}, {"c", 1}};
}

MergeExplanation Explain(MergeWorld* world, const std::string& id) {
  world->input.explain = world->Number(id);
  world->Ask();
  return world->result.explanation.value();
}

TEST(MergeExplainTest, SaysWhatKeepsAnItemOut) {
  struct Case {
    Absence absence;
    std::function<void(MergeWorld&)> change;
  };
  const std::vector<Case> cases = {
      {Absence::kNone, [](MergeWorld&) {}},
      {Absence::kOwned, [](MergeWorld& w) { w.Live(v1::PURCHASE, "b"); }},
      {Absence::kOwned, [](MergeWorld& w) { w.Before(v1::PURCHASE, "b", kNow - 1000); }},
      {Absence::kRejected, [](MergeWorld& w) { w.Live(v1::DISLIKE, "b"); }},
      {Absence::kRejected,
       [](MergeWorld& w) {
         w.Live(v1::RATING, "b", kNow, 1);
         w.Live(v1::PURCHASE, "b");
       }},
      {Absence::kSeen,
       [](MergeWorld& w) {
         w.Live(v1::VIEW, "b");
         w.input.exclude_seen = true;
       }},
      {Absence::kExcludedItem, [](MergeWorld& w) { w.filter.exclude_items = {w.Number("b")}; }},
      {Absence::kCategoryNotIncluded, [](MergeWorld& w) { w.filter.only_included_categories = true; }},
      {Absence::kCategoryExcluded,
       [](MergeWorld& w) { w.filter.exclude_categories = {*w.catalogue->FindCategory("tea")}; }},
      {Absence::kLabelNotIncluded, [](MergeWorld& w) { w.filter.only_included_labels = true; }},
      {Absence::kPrice, [](MergeWorld& w) { w.filter.min_price = 1; }},
      {Absence::kDeleted, [](MergeWorld& w) { w.Delete("b"); }},
      {Absence::kHidden, [](MergeWorld& w) { w.Rule("no-tea", v1::HIDE).set_category("tea"); }},
      {Absence::kCapped, [](MergeWorld& w) { w.input.max_per_category = 1; }},
      {Absence::kRankedTooLow, [](MergeWorld& w) { w.input.limit = 1; }},
      {Absence::kNotCandidate,
       [](MergeWorld& w) {
         w.personal = {{"a", 3}};
       }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    MergeWorld world;
    Fill(&world);
    cases[i].change(world);
    EXPECT_EQ(Explain(&world, "b").absence, cases[i].absence);
  }
  MergeWorld world;
  Fill(&world);
  v1::Item sold_out;
  sold_out.set_item_id("b");
  sold_out.set_stock(0);
  world.Put(sold_out);
  EXPECT_EQ(Explain(&world, "b").absence, Absence::kUnavailable);
  const std::vector<ItemNumber> basket = {world.Number("a")};
  world.input.basket = basket;
  EXPECT_EQ(Explain(&world, "a").absence, Absence::kInBasket);
  world.input.basket = {};
  world.input.shown = basket;
  EXPECT_EQ(Explain(&world, "a").absence, Absence::kShownBefore);
}

TEST(MergeExplainTest, NamesTheEventTheRuleTheCategoryAndThePlace) {
  MergeWorld world;
  Fill(&world);
  const int64_t bought = kNow - MergeWorld::kMinute;
  world.Before(v1::PURCHASE, "a", bought);
  world.Rule("aaa", v1::BOOST, 1).set_item_id("c");
  world.Rule("hide-c", v1::HIDE).set_item_id("c");
  EXPECT_EQ(*Explain(&world, "a").cause,
            (EventCause{.type = v1::PURCHASE, .position = {PartitionId{0}, Offset{0}}, .event_time_unix_ms = bought}));
  EXPECT_EQ(world.rule_set.rule(Explain(&world, "c").rule.value()).rule_id, "hide-c");
  world.history.Clear();
  world.rules.clear();
  world.input.max_per_category = 1;
  EXPECT_EQ(world.catalogue->CategoryName(Explain(&world, "b").category.value()), "tea");
  world.input.max_per_category = 0;
  world.input.limit = 1;
  const MergeExplanation last = Explain(&world, "c");
  EXPECT_EQ(last.rank, 3);
  EXPECT_EQ(last.candidates, 3);
  EXPECT_GT(last.item->score, 0);
  EXPECT_EQ(last.item->reason_count, 1U);
}

TEST(MergeExplainTest, AnEmptyAnswerCountsWhatKeptItemsOut) {
  MergeWorld world;
  Fill(&world);
  EXPECT_EQ(world.Ask().size(), 3U);
  EXPECT_THAT(world.result.absent, IsEmpty());
  world.Live(v1::PURCHASE, "a");
  world.filter.only_included_categories = true;
  EXPECT_THAT(world.Ask(), IsEmpty());
  EXPECT_THAT(world.result.absent, ElementsAre(Pair(Absence::kOwned, 1), Pair(Absence::kCategoryNotIncluded, 2)));
  world.personal.clear();
  world.facts.clear();
  EXPECT_THAT(world.Ask(), IsEmpty());
  EXPECT_THAT(world.result.absent, IsEmpty());
}

TEST(MergeExplainTest, AGivenListIsRankedAndKeepsItemsThatNoSourceKnows) {
  MergeWorld world;
  Fill(&world);
  world.Put("e");
  world.popular = {{"e", 5}, {"a", 4}};
  world.neighbours["a"] = {{"c", 1}};
  world.Live(v1::VIEW, "a");
  world.Live(v1::PURCHASE, "b");
  const std::vector<ItemNumber> asked = world.Numbers({"d", "b", "c", "e", "d"});
  world.input.kind = MergeKind::kScore;
  world.input.score_items = asked;
  EXPECT_THAT(world.Ask(), ElementsAre("c", "e", "d"));
  EXPECT_GT(world.Answer("e").score, 0);
  EXPECT_EQ(world.Answer("d").score, 0);
  EXPECT_EQ(world.Answer("d").reason_count, 0U);
}

TEST(MergeExplainTest, AListOfTheCallersIsFilteredAndRuled) {
  MergeWorld world;
  Fill(&world);
  world.Rule("no-a", v1::HIDE).set_item_id("a");
  const std::vector<ScoredItem> list = world.Scored({{"a", 9}, {"d", 8}, {"c", 7}});
  world.input.kind = MergeKind::kList;
  world.input.list = list;
  world.input.list_source = CandidateSource::kLatest;
  EXPECT_THAT(world.Ask(), ElementsAre("d", "c"));
  EXPECT_EQ(world.result.ReasonsOf(world.Answer("d")).front().source, CandidateSource::kLatest);
}

}  // namespace
}  // namespace tributary
