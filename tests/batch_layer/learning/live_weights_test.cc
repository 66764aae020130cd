#include "batch_layer/learning/live_weights.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/learning/learn.h"
#include "common/config/config.h"

namespace tributary::batch {
namespace {

constexpr uint32_t kUsers = 400;
constexpr uint32_t kItems = 300;
constexpr uint32_t kItemsOfUser = 12;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kNow = 1'700'000'000'000;

// Everybody walks on from one item to the next, from a place of their own, in visits of six: who is where tells what comes
// next, and models that know no order tell less.
class LiveWeightsTest : public testing::Test {
 protected:
  LiveWeightsTest() : config_(DefaultConfig().batch()) {
    config_.set_threads(1);
    config_.mutable_ials()->set_dimensions(8);
    config_.mutable_item_item()->set_low_pass_dimensions(8);
    CatalogueBuilder builder;
    for (uint32_t i = 0; i < kItems; ++i) {
      v1::Item item;
      item.set_item_id(absl::StrCat("i", i));
      builder.Put(item);
    }
    catalogue_ = std::move(builder).Build();
    for (uint32_t user = 0; user < kUsers; ++user) {
      for (uint32_t i = 0; i < kItemsOfUser; ++i) {
        observations_.push_back({{user, ItemAt(user, i)}, TimeAt(user, i)});
      }
      for (uint32_t visit = 0; visit < 2; ++visit) {
        PastSession& session = sessions_.emplace_back();
        session.user = user;
        for (uint32_t i = 6 * visit; i < 6 * (visit + 1); ++i) {
          session.items.push_back(ItemAt(user, i));
          session.time_unix_ms = TimeAt(user, i);
        }
      }
    }
  }

  static uint32_t ItemAt(uint32_t user, uint32_t i) { return (user * 7 + i) % kItems; }
  static int64_t TimeAt(uint32_t user, uint32_t i) { return kNow - (kUsers - user) * 1'000 * kMinuteMs + i * kMinuteMs; }

  Learned Run(absl::Span<const PastSession> sessions) const {
    const MergePolicy policy = MergePolicy::Default();
    ServingWorld world{catalogue_.get(), nullptr, &policy, kNow};
    world.sessions = sessions;
    auto learned = Learn(observations_, kUsers, kItems, config_, &world);
    EXPECT_TRUE(learned.ok()) << learned.status();
    return *std::move(learned);
  }

  static double Metric(const Learned& learned, const std::string& model, const std::string& name) {
    for (const v1::QualityMetric& metric : learned.metrics) {
      if (metric.model() == model && metric.name() == name) return metric.value();
    }
    return -1;
  }

  v1::BatchConfig config_;
  std::shared_ptr<const Catalogue> catalogue_;
  std::vector<Observation> observations_;
  std::vector<PastSession> sessions_;
};

TEST_F(LiveWeightsTest, SessionsCountForMoreWhereTheyTellMore) {
  const Learned with = Run(sessions_);
  ASSERT_TRUE(with.live.has_value());
  EXPECT_LT(with.live->newcomer, with.live->session);
  const Learned without = Run({});
  ASSERT_TRUE(without.live.has_value());
  EXPECT_GT(Metric(with, "newcomer", "ndcg_at_20"), Metric(without, "newcomer", "ndcg_at_20"));
  EXPECT_GT(Metric(with, "live", "ndcg_at_20"), Metric(without, "live", "ndcg_at_20"));
}

// A visit with something held out is the answer itself: one's own must not be known.
TEST_F(LiveWeightsTest, WhatIsHeldOutIsNotKnownFromSessions) {
  std::vector<PastSession> own_answers;
  for (const PastSession& session : sessions_) {
    if (session.time_unix_ms >= TimeAt(session.user, kItemsOfUser - 2)) own_answers.push_back(session);
  }
  ASSERT_EQ(own_answers.size(), kUsers);
  config_.mutable_blend()->set_validation_users(kUsers);   // Of everybody something is held out.
  const Learned with = Run(own_answers);
  const Learned without = Run({});
  EXPECT_EQ(Metric(with, "newcomer", "ndcg_at_20"), Metric(without, "newcomer", "ndcg_at_20"));
  EXPECT_EQ(Metric(with, "live", "ndcg_at_20"), Metric(without, "live", "ndcg_at_20"));
}

TEST_F(LiveWeightsTest, ThreadsChangeNothing) {
  const Learned one = Run(sessions_);
  config_.set_threads(3);
  const Learned three = Run(sessions_);
  EXPECT_EQ(one.live->session, three.live->session);
  EXPECT_EQ(one.live->folded_share, three.live->folded_share);
  EXPECT_EQ(one.live->newcomer, three.live->newcomer);
  EXPECT_EQ(Metric(one, "live", "ndcg_at_20"), Metric(three, "live", "ndcg_at_20"));
}

TEST_F(LiveWeightsTest, NobodyAskedForOrTooFewLeaveThePolicy) {
  config_.mutable_blend()->set_live_users(0);
  EXPECT_FALSE(Run(sessions_).live.has_value());
  config_.mutable_blend()->set_live_users(static_cast<int>(kLeastLiveUsers) - 1);
  const Learned learned = Run(sessions_);
  ASSERT_TRUE(learned.live.has_value());
  EXPECT_EQ(learned.live->session, MergePolicy::Default().session_weight);
  EXPECT_EQ(learned.live->newcomer, MergePolicy::Default().newcomer_weight);
  EXPECT_EQ(learned.live->folded_share, 1);
  EXPECT_EQ(Metric(learned, "live", "ndcg_at_20"), -1);
}

}  // namespace
}  // namespace tributary::batch
