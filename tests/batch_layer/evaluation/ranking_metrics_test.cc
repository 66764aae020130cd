#include "batch_layer/evaluation/ranking_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::Key;

std::vector<ScoredItem> List(std::initializer_list<uint32_t> items) {
  std::vector<ScoredItem> list;
  for (const uint32_t item : items) {
    list.push_back({ItemNumber{item}, 1});
  }
  return list;
}

TEST(RankingMetricsTest, AreTheirDefinitions) {
  RankingEvaluation evaluation(3, /*item_users=*/{4, 2, 1, 0, 1, 1, 1, 1, 1, 1}, /*train_users=*/4);
  evaluation.Add(List({0, 1, 2, 9}), {std::vector<uint32_t>{1, 2, 7, 9}});   // The fourth place does not count.
  evaluation.Add(List({3}), {std::vector<uint32_t>{5}});
  evaluation.Add(List({0}), {});                                              // Nobody to be right about.
  const RankingMetrics means = evaluation.Means();
  const double gain = 1 / std::log2(3.0) + 1 / std::log2(4.0);
  EXPECT_EQ(means.users, 2);
  EXPECT_DOUBLE_EQ(means.recall, (2.0 / 4) / 2);
  EXPECT_DOUBLE_EQ(means.truncated_recall, (2.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(means.ndcg, gain / (1 + gain) / 2);
  EXPECT_DOUBLE_EQ(means.hit_rate, 0.5);
  EXPECT_DOUBLE_EQ(means.mrr, (1.0 / 2) / 2);
  EXPECT_DOUBLE_EQ(means.coverage, 4.0 / 10);
  EXPECT_DOUBLE_EQ(means.novelty, (0 + 1 + 2 + 2 + 0) / 5.0);
}

TEST(RankingMetricsTest, NobodyGivesZeros) {
  const RankingMetrics means = RankingEvaluation(5, {}, 0).Means();
  EXPECT_EQ(means.users, 0);
  for (const auto& [name, value] : means.Named(5)) {
    EXPECT_EQ(value, 0) << name;
  }
}

TEST(RankingMetricsTest, NamesSayTheLength) {
  EXPECT_THAT(RankingMetrics().Named(20),
              ElementsAre(Key("recall_at_20"), Key("truncated_recall_at_20"), Key("ndcg_at_20"), Key("hit_rate_at_20"),
                          Key("mrr_at_20"), Key("coverage_at_20"), Key("novelty_at_20")));
}

}  // namespace
}  // namespace tributary::batch
