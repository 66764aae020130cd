#include "batch_layer/learning/learn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
    auto learned = Learn(observations_, kUsers, kItems, config_, world_);
    EXPECT_TRUE(learned.ok()) << learned.status();
    return *std::move(learned);
  }

  v1::BatchConfig config_;
  const ServingWorld* world_ = nullptr;
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

// Half the items are sold out: what cannot be served cannot hit.
TEST_P(LearnTest, ListsAreMeasuredAsTheyAreServed) {
  CatalogueBuilder all, half;
  for (uint32_t i = 0; i < kItems; ++i) {
    v1::Item item;
    item.set_item_id(absl::StrCat("i", i));
    all.Put(item);
    item.set_stock(i % 2);
    half.Put(item);
  }
  const std::shared_ptr<const Catalogue> whole = std::move(all).Build(), rest = std::move(half).Build();
  const MergePolicy policy = MergePolicy::Default();
  const auto recall = [&](const Catalogue* catalogue) {
    const ServingWorld world{catalogue, nullptr, &policy, 0};
    world_ = catalogue == nullptr ? nullptr : &world;
    const Learned learned = Run();
    EXPECT_EQ(learned.metrics.front().name(), "recall_at_20");
    return learned.metrics.front().value();
  };
  const double as_they_are = recall(nullptr);
  EXPECT_NEAR(recall(whole.get()), as_they_are, 0.02);  // Ties and rounding are all that differs.
  EXPECT_LT(recall(rest.get()), 0.8 * as_they_are);
  EXPECT_GT(recall(rest.get()), 0.1 * as_they_are);
}

TEST_P(LearnTest, WithoutValidationTheConfiguredWeightCounts) {
  config_.mutable_blend()->set_validation_users(0);
  config_.mutable_blend()->set_ials_weight(0.35);
  const Learned learned = Run();
  EXPECT_TRUE(learned.metrics.empty());
  EXPECT_EQ(learned.ials_weight, 0.35);
}

TEST_P(LearnTest, OneObservation) {
  const auto learned = Learn({Observation{{0, 0}, 1}}, 1, 1, config_, nullptr);
  ASSERT_TRUE(learned.ok()) << learned.status();
  EXPECT_TRUE(learned->metrics.empty());
}

INSTANTIATE_TEST_SUITE_P(EaseAndGfCf, LearnTest, testing::Bool());

}  // namespace
}  // namespace tributary::batch
