#include "batch_layer/models/item_neighbours.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

// The formula of item_neighbours.h over a dense matrix.
std::vector<std::vector<double>> Similarities(const InteractionMatrix& sets, const NeighbourOptions& options) {
  std::vector<std::vector<double>> value(sets.items(), std::vector<double>(sets.rows()));
  for (uint32_t s = 0; s < sets.rows(); ++s) {
    const SparseRows::Row row = sets.by_row().row(s);
    if (options.largest_set != 0 && row.size() > options.largest_set) {
      continue;
    }
    for (size_t i = 0; i < row.size(); ++i) {
      value[row.columns[i]][s] =
          options.weighting == NeighbourWeighting::kCosine
              ? double{row.weights[i]}
              : std::sqrt(double{row.weights[i]}) * std::log(1 + static_cast<double>(sets.items()) / static_cast<double>(row.size()));
    }
  }
  const auto dot = [&](uint32_t i, uint32_t j) {
    double sum = 0;
    for (uint32_t s = 0; s < sets.rows(); ++s) {
      sum += value[i][s] * value[j][s];
    }
    return sum;
  };
  std::vector<std::vector<double>> similarity(sets.items(), std::vector<double>(sets.items()));
  for (uint32_t i = 0; i < sets.items(); ++i) {
    for (uint32_t j = 0; j < sets.items(); ++j) {
      const double together = dot(i, j);
      similarity[i][j] =
          i == j || together == 0 ? 0 : together / (std::sqrt(dot(i, i)) * std::sqrt(dot(j, j)) + double{options.shrink});
    }
  }
  return similarity;
}

TEST(ItemNeighboursTest, IsBruteForce) {
  const InteractionMatrix sets = synthetic::Random(120, 90, 12, 1);
  for (const NeighbourOptions& options :
       {NeighbourOptions{.k = 10, .weighting = NeighbourWeighting::kCosine}, NeighbourOptions{.k = 10},
        NeighbourOptions{.k = 10, .shrink = 5}, NeighbourOptions{.k = 10, .largest_set = 6}, NeighbourOptions{.k = 1'000}}) {
    const auto similarity = Similarities(sets, options);
    const auto lists = ItemNeighbours(sets, options).Compute(0, sets.items());
    ASSERT_EQ(lists.size(), sets.items());
    for (uint32_t i = 0; i < sets.items(); ++i) {
      std::vector<double> expected;
      for (uint32_t j = 0; j < sets.items(); ++j) {
        if (similarity[i][j] > 0) {
          expected.push_back(similarity[i][j]);
        }
      }
      std::sort(expected.rbegin(), expected.rend());
      ASSERT_EQ(lists[i].size(), std::min(options.k, expected.size())) << "item " << i;
      for (size_t n = 0; n < lists[i].size(); ++n) {
        EXPECT_NEAR(lists[i][n].score, expected[n], 1e-5);
        EXPECT_NEAR(lists[i][n].score, similarity[i][Value(lists[i][n].item)], 1e-5);
        EXPECT_NE(Value(lists[i][n].item), i);
      }
    }
  }
}

TEST(ItemNeighboursTest, ThreadsAndSlicesChangeNoBit) {
  const InteractionMatrix sets = synthetic::Random(400, 300, 15, 2);
  const auto one = ItemNeighbours(sets, {.k = 20, .threads = 1}).Compute(0, 300);
  for (const int threads : {2, 3}) {
    const ItemNeighbours neighbours(sets, {.k = 20, .threads = threads});
    EXPECT_TRUE(neighbours.Compute(0, 300) == one);
    const auto slice = neighbours.Compute(37, 215);
    EXPECT_TRUE(std::equal(slice.begin(), slice.end(), one.begin() + 37));
  }
}

TEST(ItemNeighboursTest, TwoItemsThatAlwaysGoTogetherHaveSimilarityOne) {
  const auto sets = InteractionMatrix::Create(3, 3, {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 2}});
  ASSERT_TRUE(sets.ok());
  const auto lists = ItemNeighbours(*sets, {.weighting = NeighbourWeighting::kCosine}).Compute(0, 3);
  ASSERT_EQ(lists[0].size(), 1u);
  EXPECT_EQ(lists[0][0].item, ItemNumber{1});
  EXPECT_NEAR(lists[0][0].score, 1, 1e-6);
  EXPECT_TRUE(lists[2].empty());   // Alone in its set.
}

}  // namespace
}  // namespace tributary::batch
