#include "batch_layer/models/popularity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr absl::Duration kHalfLife = absl::Hours(24);
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

PopularityOptions Options() {
  return {.half_life = kHalfLife, .reference = kNow};
}

ScoredItem Scored(uint32_t item, float score) { return {ItemNumber{item}, score}; }

TEST(PopularityTest, WeightsHalveWithEachHalfLife) {
  Popularity popularity(4, Options());
  popularity.Add(v1::PURCHASE, ItemNumber{0}, kNow - 2 * kHalfLife);   // 5 / 4
  popularity.Add(v1::VIEW, ItemNumber{1}, kNow);                       // 1
  popularity.Add(v1::VIEW, ItemNumber{1}, kNow - kHalfLife);           // 1 / 2
  popularity.Add(v1::ADD_TO_CART, ItemNumber{2}, kNow + kHalfLife);    // 3: not more than now
  popularity.Add(v1::RETURN, ItemNumber{3}, kNow);                     // Nothing
  EXPECT_THAT(popularity.Top(10), ElementsAre(Scored(2, 3), Scored(1, 1.5f), Scored(0, 1.25f)));
  EXPECT_THAT(popularity.Top(1), ElementsAre(Scored(2, 3)));
  EXPECT_EQ(popularity.Score(ItemNumber{3}), 0);
  EXPECT_NEAR(popularity.Score(ItemNumber{1}), 1.5, 1e-7);
}

TEST(PopularityTest, KindsHaveTheWeightsGiven) {
  PopularityOptions options = Options();
  options.weights = {};
  options.weights[v1::SEARCH] = 7;
  Popularity popularity(1, options);
  popularity.Add(v1::PURCHASE, ItemNumber{0}, kNow);
  EXPECT_THAT(popularity.Top(1), IsEmpty());
  popularity.Add(v1::SEARCH, ItemNumber{0}, kNow);
  EXPECT_THAT(popularity.Top(1), ElementsAre(Scored(0, 7)));
}

TEST(PopularityTest, EachCategoryHasItsOwnList) {
  Popularity popularity(4, Options());
  for (uint32_t item = 0; item < 4; ++item) {
    for (uint32_t n = 0; n <= item; ++n) {
      popularity.Add(v1::VIEW, ItemNumber{item}, kNow);
    }
  }
  const std::vector<std::vector<std::string>> categories = {{"a"}, {"a", "b", "a"}, {}, {"a", "c"}};
  EXPECT_THAT(popularity.TopByCategory(2, [&](ItemNumber item) { return categories[Value(item)]; }),
              ElementsAre(Pair("a", ElementsAre(Scored(3, 4), Scored(1, 2))), Pair("b", ElementsAre(Scored(1, 2))),
                          Pair("c", ElementsAre(Scored(3, 4)))));
}

TEST(PopularityTest, OrderAndSlicesChangeNoBit) {
  struct Use {
    v1::EventType kind;
    ItemNumber item;
    absl::Time time;
  };
  std::mt19937_64 random(1);
  std::vector<Use> uses;
  for (int i = 0; i < 5'000; ++i) {
    uses.push_back({static_cast<v1::EventType>(1 + random() % 10), ItemNumber{static_cast<uint32_t>(random() % 50)},
                    kNow - absl::Seconds(static_cast<int64_t>(random() % 10'000'000))});
  }
  Popularity whole(50, Options());
  for (const Use& use : uses) {
    whole.Add(use.kind, use.item, use.time);
  }
  std::reverse(uses.begin(), uses.end());
  Popularity merged(50, Options());
  for (size_t begin = 0; begin < uses.size(); begin += 777) {
    Popularity slice(50, Options());
    for (size_t i = begin; i < std::min(uses.size(), begin + 777); ++i) {
      slice.Add(uses[i].kind, uses[i].item, uses[i].time);
    }
    merged.Merge(slice);
  }
  EXPECT_EQ(merged.Top(50), whole.Top(50));
}

TEST(PopularityTest, EachSegmentHasItsOwn) {
  SegmentPopularity popularity(Options());
  popularity.Add(0, v1::VIEW, ItemNumber{1}, kNow);
  popularity.Add(0, v1::VIEW, ItemNumber{2}, kNow);
  popularity.Add(0, v1::VIEW, ItemNumber{2}, kNow);
  popularity.Add(0, v1::VIEW, ItemNumber{3}, kNow);
  popularity.Add(7, v1::VIEW, ItemNumber{3}, kNow);
  popularity.Add(8, v1::IMPRESSION, ItemNumber{3}, kNow);   // Without a weight.
  EXPECT_THAT(popularity.Top(2), ElementsAre(Pair(0, ElementsAre(Scored(2, 2), Scored(1, 1))),
                                             Pair(7, ElementsAre(Scored(3, 1)))));
}

}  // namespace
}  // namespace tributary::batch
