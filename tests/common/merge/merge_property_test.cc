// What holds for every log, watermark, order and page, tried on seeded random worlds.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/common/merge/merge_world.h"

namespace tributary {
namespace {

constexpr int64_t kNow = MergeWorld::kNow;
constexpr int kSeeds = 200;
constexpr int kItems = 60;
constexpr int kCategories = 6;

const EventType kKinds[] = {v1::VIEW,    v1::CLICK,  v1::ADD_TO_CART, v1::PURCHASE, v1::RETURN,
                            v1::LIKE,    v1::DISLIKE, v1::RATING,     v1::SEARCH};

using Random = std::mt19937_64;

int Below(Random& random, int bound) { return static_cast<int>(random() % static_cast<uint64_t>(bound)); }
std::string ItemId(int i) { return absl::StrCat("item", i); }

// A log of two partitions, and what a request gets from it for some watermarks: facts from the floor on, recent ones, and
// the snapshot's history below W.
struct RandomLog {
  explicit RandomLog(Random& random) {
    int64_t next_offset[2] = {0, 0};
    const int events = 5 + Below(random, 60);
    for (int i = 0; i < events; ++i) {
      const int partition = Below(random, 2);
      Fact fact{.kind = Below(random, 40) == 0 ? v1::FORGET : kKinds[Below(random, std::size(kKinds))],
                .event_time_unix_ms = kNow - Below(random, 40 * 24 * 60) * MergeWorld::kMinute / (1 + Below(random, 30)),
                .offset = Offset{next_offset[partition]++},
                .value_micros = Below(random, 6) * 1'000'000LL};
      if (fact.kind != v1::FORGET && fact.kind != v1::SEARCH) {
        fact.item_id = ItemId(Below(random, kItems));
      }
      facts[partition].push_back(fact);
    }
    // From a generator of its own, so that the rest of what a seed says stays the same.
    Random shown(static_cast<uint64_t>(events));
    for (int i = 0; i < 30; ++i) {
      impressions[Below(shown, 2)].push_back({.kind = v1::IMPRESSION,
                                              .item_id = ItemId(Below(shown, kItems / 4)),
                                              .event_time_unix_ms = kNow - Below(shown, 30 * 60) * MergeWorld::kMinute,
                                              .offset = Offset{i}});
    }
  }
  // Decisions of the events below the watermarks.
  UserHistory Snapshot(const Catalogue& catalogue, const Offset (&watermarks)[2]) const {
    UserHistory history;
    for (int partition = 0; partition < 2; ++partition) {
      for (const Fact& fact : facts[partition]) {
        if (fact.offset < watermarks[partition]) {
          history.Apply(fact.kind, fact.item_id.empty() ? ItemNumber{} : catalogue.Find(fact.item_id).value(),
                        {fact.event_time_unix_ms, {PartitionId{partition}, fact.offset}}, fact.value_micros);
        }
      }
    }
    return history;
  }
  std::vector<Fact> facts[2];
  std::vector<Fact> impressions[2];
};

void FillWorld(Random& random, MergeWorld* world) {
  for (int i = 0; i < kItems; ++i) {
    v1::Item item;
    item.set_item_id(ItemId(i));
    for (int c = Below(random, 3); c >= 0; --c) {
      item.add_categories(absl::StrCat("category", Below(random, kCategories)));
    }
    if (Below(random, 10) == 0) {
      item.set_stock(0);
    }
    world->Put(item);
  }
  for (int i = 0; i < 30; ++i) {
    world->personal.emplace_back(ItemId(Below(random, kItems)), static_cast<float>(1 + Below(random, 1000)));
  }
  // One place an item.
  std::set<std::string> there;
  std::erase_if(world->personal, [&](const auto& entry) { return !there.insert(entry.first).second; });
  for (int i = 0; i < kItems; ++i) {
    world->popular.emplace_back(ItemId(i), static_cast<float>(kItems - i));
  }
  world->Rule("hide", v1::HIDE).set_item_id(ItemId(Below(random, kItems)));
  world->Rule("boost", v1::BOOST, 0.5).set_category("category1");
}

// Who may not be shown, by the plainest reading of the definition.
std::set<std::string> Suppressed(const RandomLog& log, const MergePolicy& policy) {
  int64_t forgotten = std::numeric_limits<int64_t>::min();
  for (const auto& facts : log.facts) {
    for (const Fact& fact : facts) {
      if (fact.kind == v1::FORGET) {
        forgotten = std::max(forgotten, fact.event_time_unix_ms);
      }
    }
  }
  using Key = std::tuple<int64_t, int, Offset>;
  std::map<std::string, std::pair<Key, Fact>> trade;
  std::map<std::string, std::pair<Key, Fact>> opinion;
  for (int partition = 0; partition < 2; ++partition) {
    for (const Fact& fact : log.facts[partition]) {
      if (fact.event_time_unix_ms <= forgotten) {
        continue;
      }
      const Key key{fact.event_time_unix_ms, partition, fact.offset};
      const bool is_trade = fact.kind == v1::PURCHASE || fact.kind == v1::RETURN;
      const bool is_opinion = fact.kind == v1::LIKE || fact.kind == v1::DISLIKE || fact.kind == v1::RATING;
      if (is_trade && (!trade.contains(fact.item_id) || trade[fact.item_id].first < key)) {
        trade[fact.item_id] = {key, fact};
      }
      if (is_opinion && (!opinion.contains(fact.item_id) || opinion[fact.item_id].first < key)) {
        opinion[fact.item_id] = {key, fact};
      }
    }
  }
  std::set<std::string> suppressed;
  for (const auto& [id, entry] : trade) {
    if (entry.second.kind == v1::PURCHASE &&
        kNow - entry.second.event_time_unix_ms < policy.purchase_suppression_ms) {
      suppressed.insert(id);
    }
  }
  for (const auto& [id, entry] : opinion) {
    if (entry.second.kind == v1::DISLIKE || (entry.second.kind == v1::RATING && entry.second.value_micros <= 2'000'000)) {
      suppressed.insert(id);
    }
  }
  return suppressed;
}

class MergePropertyTest : public ::testing::Test {
 protected:
  // Asks with the log cut at the given watermarks.
  static std::vector<std::string> AskAt(const RandomLog& log, const Offset (&watermarks)[2], MergeWorld* world) {
    world->history = log.Snapshot(*world->catalogue, watermarks);
    world->facts = log.facts[0];
    world->impressions = log.impressions[0];
    world->policy.fatigue.impressions = 2;
    world->watermark = watermarks[0];
    world->more_partitions = {{.partition = PartitionId{1},
                               .watermark = watermarks[1],
                               .facts = log.facts[1],
                               .impressions = log.impressions[1]}};
    return world->Ask();
  }
  // Calls `check` with the world and the log of each seed, and the generator that made them.
  template <typename Check>
  static void ForEachSeed(Check check) {
    for (int seed = 0; seed < kSeeds; ++seed) {
      SCOPED_TRACE(absl::StrCat("seed=", seed));
      Random random(seed);
      MergeWorld world;
      FillWorld(random, &world);
      RandomLog log(random);
      ASSERT_NO_FATAL_FAILURE(check(random, world, log));
    }
  }
  static Offset Cut(Random& random, const std::vector<Fact>& facts) {
    return Offset{Below(random, static_cast<int>(facts.size()) + 1)};
  }
};

// Items, scores and reasons alike: nothing flickers when a newer snapshot is activated over an equal list.
TEST_F(MergePropertyTest, TheAnswerDoesNotDependOnTheWatermark) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    world.input.exclude_seen = Below(random, 2) == 0;
    world.input.limit = 100;
    const Offset none[2] = {Offset{0}, Offset{0}};
    const std::vector<std::string> live_alone = AskAt(log, none, &world);
    const MergeResult expected = world.result;
    for (int round = 0; round < 4; ++round) {
      const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
      ASSERT_EQ(AskAt(log, watermarks, &world), live_alone);
      ASSERT_EQ(world.result.reasons.size(), expected.reasons.size());
      for (size_t i = 0; i < expected.items.size(); ++i) {
        ASSERT_EQ(world.result.items[i].score, expected.items[i].score);
      }
      for (size_t i = 0; i < expected.reasons.size(); ++i) {
        ASSERT_EQ(world.result.reasons[i].part, expected.reasons[i].part);
        ASSERT_EQ(world.result.reasons[i].cause, expected.reasons[i].cause);
        ASSERT_EQ(world.result.reasons[i].causes, expected.reasons[i].causes);
      }
    }
  });
}

TEST_F(MergePropertyTest, ExactlyTheSuppressedHiddenAndUnavailableAreAbsent) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    std::set<std::string> absent = Suppressed(log, world.policy);
    absent.insert(world.rules[0].item_id());
    for (int i = 0; i < kItems; ++i) {
      if (!world.catalogue->IsAvailable(world.Number(ItemId(i)), kNow)) {
        absent.insert(ItemId(i));
      }
    }
    std::set<std::string> expected;
    for (int i = 0; i < kItems; ++i) {
      if (!absent.contains(ItemId(i))) {
        expected.insert(ItemId(i));
      }
    }
    world.input.limit = 100;
    const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
    const std::vector<std::string> answer = AskAt(log, watermarks, &world);
    ASSERT_EQ(std::set<std::string>(answer.begin(), answer.end()), expected);
    ASSERT_EQ(answer.size(), expected.size());
  });
}

TEST_F(MergePropertyTest, TheOrderOfListsFactsAndRulesChangesNothing) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    world.input.max_per_category = Below(random, 4);
    for (int i = 0; i < kItems; ++i) {
      for (int n = 0; n < 5; ++n) {
        world.neighbours[ItemId(i)].emplace_back(ItemId((i + 1 + n * 7) % kItems), 0.1f * static_cast<float>(n + 1));
      }
    }
    const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
    const std::vector<std::string> expected = AskAt(log, watermarks, &world);
    std::vector<float> scores;
    for (const MergedItem& item : world.result.items) {
      scores.push_back(item.score);
    }
    for (int round = 0; round < 3; ++round) {
      std::shuffle(world.personal.begin(), world.personal.end(), random);
      std::shuffle(log.facts[0].begin(), log.facts[0].end(), random);
      std::shuffle(log.facts[1].begin(), log.facts[1].end(), random);
      std::shuffle(log.impressions[0].begin(), log.impressions[0].end(), random);
      std::shuffle(log.impressions[1].begin(), log.impressions[1].end(), random);
      std::shuffle(world.rules.begin(), world.rules.end(), random);
      for (auto& [id, list] : world.neighbours) {
        std::shuffle(list.begin(), list.end(), random);
      }
      ASSERT_EQ(AskAt(log, watermarks, &world), expected);
      for (size_t i = 0; i < scores.size(); ++i) {
        ASSERT_EQ(world.result.items[i].score, scores[i]);
      }
    }
  });
}

TEST_F(MergePropertyTest, PagesNeverRepeatAndEndWithEveryItemShown) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
    world.input.limit = 100;
    const std::vector<std::string> all = AskAt(log, watermarks, &world);
    world.input.limit = 1 + Below(random, 9);
    world.input.max_per_category = Below(random, 3);
    std::vector<ItemNumber> shown;
    std::set<std::string> ids;
    bool more = true;
    while (more) {
      world.input.shown = shown;
      const std::vector<std::string> page = AskAt(log, watermarks, &world);
      more = world.result.more;
      ASSERT_TRUE(!more || !page.empty());
      for (const std::string& id : page) {
        ASSERT_TRUE(ids.insert(id).second) << id << " was shown before";
        shown.push_back(world.Number(id));
      }
    }
    ASSERT_EQ(ids, std::set<std::string>(all.begin(), all.end()));
  });
}

// Asking about an item changes nothing of the answer, and what is said of it is so.
TEST_F(MergePropertyTest, WhatIsExplainedIsWhatIsServed) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    world.input.limit = 1 + Below(random, 12);
    world.input.max_per_category = Below(random, 4);
    world.input.exclude_seen = Below(random, 2) == 0;
    const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
    const std::vector<std::string> answer = AskAt(log, watermarks, &world);
    const MergeResult expected = world.result;
    ASSERT_FALSE(expected.explanation.has_value());
    const std::set<std::string> suppressed = Suppressed(log, world.policy);
    std::set<int> low_ranks;
    int candidates = -1;
    for (int i = 0; i < kItems; ++i) {
      const std::string id = ItemId(i);
      SCOPED_TRACE(id);
      world.input.explain = world.Number(id);
      ASSERT_EQ(AskAt(log, watermarks, &world), answer);
      ASSERT_EQ(world.result.more, expected.more);
      ASSERT_TRUE(world.result.explanation.has_value());
      const MergeExplanation& explanation = *world.result.explanation;
      const auto place = std::find(answer.begin(), answer.end(), id);
      ASSERT_EQ(explanation.absence == Absence::kNone, place != answer.end());
      ASSERT_EQ(explanation.absence == Absence::kOwned || explanation.absence == Absence::kRejected,
                suppressed.contains(id));
      ASSERT_EQ(explanation.cause.has_value(),
                suppressed.contains(id) || explanation.absence == Absence::kSeen);
      if (place != answer.end()) {
        ASSERT_EQ(explanation.rank, place - answer.begin() + 1);
        ASSERT_EQ(explanation.item->score, expected.items[place - answer.begin()].score);
        ASSERT_EQ(explanation.item->reason_count, expected.items[place - answer.begin()].reason_count);
      } else if (explanation.absence == Absence::kRankedTooLow) {
        ASSERT_TRUE(low_ranks.insert(explanation.rank).second);
        ASSERT_GT(explanation.rank, static_cast<int>(answer.size()));
        ASSERT_LE(explanation.item->score, expected.items.back().score);
      } else if (explanation.absence == Absence::kCapped) {
        ASSERT_EQ(*explanation.category, world.catalogue->Categories(world.Number(id)).front());
        ASSERT_GT(world.input.max_per_category, 0);
      } else {
        ASSERT_FALSE(explanation.item.has_value());
      }
      candidates = std::max(candidates, explanation.candidates);
      ASSERT_EQ(explanation.candidates, candidates);
    }
  });
}

TEST_F(MergePropertyTest, AGivenListRanksAsTheWholeAnswerDoesWhereBothKnowTheItem) {
  ForEachSeed([](Random& random, MergeWorld& world, RandomLog& log) {
    world.input.limit = 100;
    const Offset watermarks[2] = {Cut(random, log.facts[0]), Cut(random, log.facts[1])};
    const std::vector<std::string> all = AskAt(log, watermarks, &world);
    std::vector<std::string> expected;
    std::vector<ItemNumber> asked;
    for (int i = 0; i < kItems; ++i) {
      const std::string id = ItemId(i);
      const bool listed = std::any_of(world.personal.begin(), world.personal.end(),
                                      [&](const auto& entry) { return entry.first == id; });
      if (listed && Below(random, 2) == 0) {
        asked.push_back(world.Number(id));
      }
    }
    std::shuffle(asked.begin(), asked.end(), random);
    for (const std::string& id : all) {
      if (std::find(asked.begin(), asked.end(), world.Number(id)) != asked.end()) {
        expected.push_back(id);
      }
    }
    world.input.kind = MergeKind::kScore;
    world.input.score_items = asked;
    ASSERT_EQ(AskAt(log, watermarks, &world), expected);
  });
}

// A list that is best first is read no further than the page needs; a shuffled one is read to its end.
TEST_F(MergePropertyTest, ListThatIsTheRankingGivesWhatTheWholeListGives) {
  constexpr int kListed = 60;
  std::mt19937_64 random(5);
  for (int world_number = 0; world_number < 300; ++world_number) {
    MergeWorld world;
    MergeWorld::List list;
    for (int i = 0; i < kListed; ++i) {
      const std::string id = absl::StrCat("item", i);
      world.Put(id, {absl::StrCat("category", Below(random, 6))});
      // Many are equal, or equal once they are rounded.
      list.emplace_back(id, static_cast<float>(1 + Below(random, 8)) + 1e-6f * static_cast<float>(Below(random, 4)));
      if (Below(random, 8) == 0) {
        world.Before(v1::PURCHASE, id, MergeWorld::kNow - 1000);
      }
    }
    world.input.limit = 1 + Below(random, 25);
    world.input.max_per_category = Below(random, 3) == 0 ? 1 + Below(random, 5) : 0;
    std::shuffle(list.begin(), list.end(), random);
    world.personal = list;
    const std::vector<std::string> expected = world.Ask();
    const MergeResult whole = world.result;
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    world.personal = list;
    for (const bool said : {false, true}) {
      world.input.personal_falls = said;
      ASSERT_EQ(world.Ask(), expected);
      ASSERT_EQ(world.result.more, whole.more);
      ASSERT_EQ(world.result.list_short, whole.list_short);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(world.result.items[i].score, whole.items[i].score);
      }
    }
  }
}

}  // namespace
}  // namespace tributary
