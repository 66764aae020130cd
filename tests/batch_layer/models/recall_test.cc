#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "batch_layer/models/ials.h"
#include "batch_layer/models/item_neighbours.h"
#include "batch_layer/models/top_n.h"
#include "tests/batch_layer/models/synthetic.h"

// The models find structure that popularity cannot see.
namespace tributary::batch {
namespace {

constexpr uint32_t kUsers = 600;
constexpr uint32_t kItems = 400;
constexpr uint32_t kClusters = 10;

double RecallAt10(const std::vector<std::vector<ScoredItem>>& lists, const std::vector<std::vector<uint32_t>>& held_out) {
  size_t hits = 0;
  size_t all = 0;
  for (size_t user = 0; user < lists.size(); ++user) {
    for (const ScoredItem& item : lists[user]) {
      hits += static_cast<size_t>(std::count(held_out[user].begin(), held_out[user].end(), Value(item.item)));
    }
    all += held_out[user].size();
  }
  return static_cast<double>(hits) / static_cast<double>(all);
}

TEST(RecallTest, IalsIsFarBetterThanPopularityOnClusteredUsers) {
  const synthetic::Clustered data = synthetic::Clusters(kUsers, kItems, kClusters, 1);
  const auto matrix = InteractionMatrix::Create(kUsers, kItems, data.train);
  ASSERT_TRUE(matrix.ok());
  const TopNOptions top{.n = 10, .excluded = &matrix->by_row(), .threads = 2};

  Factors ones(kUsers, 1);
  std::fill(ones.data(), ones.data() + kUsers, 1.0f);
  Factors counts(kItems, 1);
  for (uint32_t item = 0; item < kItems; ++item) {
    counts.row(item)[0] = static_cast<float>(matrix->by_item().row(item).size());
  }
  const double popularity = RecallAt10(ScoreTopN(ones, 0, kUsers, counts, top), data.held_out);

  const auto model = TrainIals(*matrix, {.dimensions = 16, .epochs = 6, .loss = {.unobserved_weight = 0.2f}, .threads = 2});
  ASSERT_TRUE(model.ok());
  const double ials = RecallAt10(ScoreTopN(model->users, 0, kUsers, model->items, top), data.held_out);
  RecordProperty("popularity", std::to_string(popularity));
  RecordProperty("ials", std::to_string(ials));
  EXPECT_GT(popularity, 0.02);
  EXPECT_GT(ials, 2 * popularity);
}

TEST(RecallTest, NeighboursAreOfTheSameCluster) {
  const synthetic::Clustered data = synthetic::Clusters(kUsers, kItems, kClusters, 2);
  const auto matrix = InteractionMatrix::Create(kUsers, kItems, data.train);
  ASSERT_TRUE(matrix.ok());
  const auto lists = ItemNeighbours(*matrix, {.k = 5}).Compute(0, kItems);
  size_t same = 0;
  size_t all = 0;
  for (uint32_t item = 0; item < kItems; ++item) {
    for (const ScoredItem& neighbour : lists[item]) {
      same += Value(neighbour.item) % kClusters == item % kClusters;
      ++all;
    }
  }
  EXPECT_GT(static_cast<double>(same), 0.7 * static_cast<double>(all));   // One in ten by chance.
}

}  // namespace
}  // namespace tributary::batch
