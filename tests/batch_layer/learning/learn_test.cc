#include "batch_layer/learning/learn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/config/config.h"
#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

constexpr uint32_t kUsers = 400;
constexpr uint32_t kItems = 200;

class LearnTest : public testing::TestWithParam<bool> {
 protected:
  LearnTest() : config_(DefaultConfig().batch()) {
    config_.set_threads(1);
    config_.mutable_ials()->set_dimensions(16);
    config_.mutable_item_item()->set_low_pass_dimensions(16);
    if (!GetParam()) {
      config_.mutable_item_item()->set_ease_items_at_most(0);
    }
    for (const Interaction& interaction : synthetic::Clusters(kUsers, kItems, 8, 1).train) {
      observations_.push_back({interaction, 0});
    }
  }
  Learned Run() const {
    auto learned = Learn(observations_, kUsers, kItems, config_);
    EXPECT_TRUE(learned.ok()) << learned.status();
    return *std::move(learned);
  }

  v1::BatchConfig config_;
  std::vector<Observation> observations_;
};

TEST_P(LearnTest, TheBlendIsAtLeastAsGoodAsItsPartsAndFarBetterThanPopularity) {
  const Learned learned = Run();
  std::map<std::string, double> ndcg;
  for (const v1::QualityMetric& metric : learned.metrics) {
    if (metric.name() == "ndcg_at_20") {
      ndcg[metric.model()] = metric.value();
    }
  }
  const std::string item_item = GetParam() ? "ease" : "gf_cf";
  EXPECT_EQ(learned.item_item_name, item_item);
  ASSERT_EQ(ndcg.size(), 4u);
  EXPECT_GE(ndcg[""], ndcg["ials"]);
  EXPECT_GE(ndcg[""], ndcg[item_item]);
  EXPECT_GT(ndcg[""], 2 * ndcg["popularity"]);
  EXPECT_GT(ndcg["popularity"], 0);
  EXPECT_EQ(learned.matrix.entries(), observations_.size());   // In the end all is learned.
}

TEST_P(LearnTest, ThreadsChangeNoBit) {
  const Learned one = Run();
  config_.set_threads(3);
  const Learned three = Run();
  EXPECT_TRUE(one.ials.users == three.ials.users);
  EXPECT_TRUE(one.ials.items == three.ials.items);
  EXPECT_EQ(one.ials_weight, three.ials_weight);
  ASSERT_EQ(one.metrics.size(), three.metrics.size());
  for (size_t i = 0; i < one.metrics.size(); ++i) {
    EXPECT_EQ(one.metrics[i].value(), three.metrics[i].value()) << one.metrics[i].name();
  }
}

TEST_P(LearnTest, WithoutValidationTheConfiguredWeightCounts) {
  config_.mutable_blend()->set_validation_users(0);
  config_.mutable_blend()->set_ials_weight(0.35);
  const Learned learned = Run();
  EXPECT_TRUE(learned.metrics.empty());
  EXPECT_EQ(learned.ials_weight, 0.35);
}

TEST_P(LearnTest, OneObservation) {
  const auto learned = Learn({Observation{{0, 0}, 1}}, 1, 1, config_);
  ASSERT_TRUE(learned.ok()) << learned.status();
  EXPECT_TRUE(learned->metrics.empty());
}

INSTANTIATE_TEST_SUITE_P(EaseAndGfCf, LearnTest, testing::Bool());

}  // namespace
}  // namespace tributary::batch
