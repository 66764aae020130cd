#include "batch_layer/models/top_n.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;

// Small whole numbers: inner products are exact, and many are equal or below zero.
Factors Whole(uint32_t rows, int dimensions, uint64_t seed) {
  std::mt19937_64 random(seed);
  Factors factors(rows, dimensions);
  for (uint32_t i = 0; i < rows; ++i) {
    for (float& value : factors.row(i)) {
      value = static_cast<float>(static_cast<int>(random() % 5) - 2);
    }
  }
  return factors;
}

std::vector<ScoredItem> BruteForce(absl::Span<const float> user, const Factors& items, size_t n,
                                   absl::Span<const uint32_t> excluded) {
  std::vector<ScoredItem> all;
  for (uint32_t i = 0; i < items.rows(); ++i) {
    if (std::find(excluded.begin(), excluded.end(), i) == excluded.end()) {
      all.push_back({ItemNumber{i}, std::inner_product(user.begin(), user.end(), items.row(i).begin(), 0.0f)});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const ScoredItem& a, const ScoredItem& b) { return a.score > b.score; });
  all.resize(std::min(n, all.size()));
  for (ScoredItem& item : all) {
    item.score = std::max(0.0f, item.score);
  }
  return all;
}

TEST(ScoreTopNTest, IsBruteForceWithAndWithoutExclusionsOnAnyThreadsAndSlices) {
  const Factors users = Whole(150, 6, 1);
  const Factors items = Whole(2'500, 6, 2);   // Several blocks of items.
  const InteractionMatrix seen = synthetic::Random(150, 2'500, 300, 3);
  for (const SparseRows* excluded : {static_cast<const SparseRows*>(nullptr), &seen.by_row()}) {
    for (const int threads : {1, 2, 3}) {
      const auto lists = ScoreTopN(users, 0, 150, items, {.n = 20, .excluded = excluded, .threads = threads});
      ASSERT_EQ(lists.size(), 150u);
      for (uint32_t user = 0; user < 150; ++user) {
        const auto out = excluded == nullptr ? absl::Span<const uint32_t>() : seen.by_row().row(user).columns;
        EXPECT_EQ(lists[user], BruteForce(users.row(user), items, 20, out)) << user;
      }
      const auto slice = ScoreTopN(users, 64, 130, items, {.n = 20, .excluded = excluded, .threads = threads});
      EXPECT_TRUE(std::equal(slice.begin(), slice.end(), lists.begin() + 64));
    }
  }
}

TEST(ScoreTopNTest, FewerItemsThanAskedForGiveAllThatAreLeft) {
  const Factors users = Whole(1, 3, 4);
  const Factors items = Whole(5, 3, 5);
  const auto seen = InteractionMatrix::Create(1, 5, {{0, 0}, {0, 4}});
  EXPECT_EQ(ScoreTopN(users, 0, 1, items, {.n = 20})[0].size(), 5u);
  EXPECT_EQ(ScoreTopN(users, 0, 1, items, {.n = 20, .excluded = &seen->by_row()})[0].size(), 3u);
  EXPECT_TRUE(ScoreTopN(users, 0, 0, items, {.n = 20}).empty());
  EXPECT_TRUE(ScoreTopN(users, 0, 1, Factors(0, 3), {.n = 20})[0].empty());
}

TEST(TopItemsTest, TiesGoToTheSmallerItemInWhateverOrderTheyCome) {
  TopItems best(2);
  for (const uint32_t item : {9, 7, 8, 3, 5, 6}) {
    best.Offer(item, 1);
  }
  EXPECT_THAT(best.Take(), ElementsAre(ScoredItem{ItemNumber{3}, 1}, ScoredItem{ItemNumber{5}, 1}));
  EXPECT_TRUE(best.Take().empty());
}

TEST(TopItemsTest, ScoresThatAreNotFiniteArePassedOver) {
  TopItems best(3);
  best.Offer(1, std::numeric_limits<float>::quiet_NaN());
  best.Offer(2, std::numeric_limits<float>::infinity());
  best.Offer(3, -std::numeric_limits<float>::infinity());
  best.Offer(4, -std::numeric_limits<float>::max());
  EXPECT_THAT(best.Take(), ElementsAre(ScoredItem{ItemNumber{4}, -std::numeric_limits<float>::max()}));
}

}  // namespace
}  // namespace tributary::batch
