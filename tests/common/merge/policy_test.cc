#include "common/merge/policy.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(MergePolicyTest, UnsetFieldsTakeTheDefaultsOfTheConfiguration) {
  const auto policy = MergePolicy::FromProto(v1::MergePolicy());
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->max_category_boost, 2);
  EXPECT_EQ(policy->purchase_suppression_ms, 30LL * 86'400'000);
  EXPECT_EQ(policy->dislike_rating_at_most_micros, 2'000'000);
  EXPECT_EQ(policy->personal_weight, 1);
  EXPECT_EQ(policy->session_weight, 0.5);
  EXPECT_EQ(policy->fallback_weight, 0.1);
  EXPECT_EQ(policy->newcomer_weight, 0.25);
  ASSERT_NE(policy->EffectOf(v1::VIEW), nullptr);
  EXPECT_EQ(policy->EffectOf(v1::VIEW)->strength, 0.3);
  EXPECT_EQ(policy->EffectOf(v1::VIEW)->half_life_ms, 30 * 60'000);
  EXPECT_EQ(policy->EffectOf(v1::DISLIKE)->strength, -0.5);
  EXPECT_EQ(policy->EffectOf(v1::PURCHASE), nullptr);
  EXPECT_EQ(policy->fatigue.impressions, 0) << "off";
  EXPECT_EQ(policy->fatigue.strength, 1);
  EXPECT_EQ(policy->fatigue.window_ms, 86'400'000);
}

TEST(MergePolicyTest, ZeroIsZeroAndNotTheDefault) {
  v1::MergePolicy message;
  message.set_max_category_boost(0);
  message.set_purchase_suppression_days(0);
  message.set_dislike_rating_at_most(0);
  message.set_personal_weight(0);
  message.set_session_weight(0);
  message.set_fallback_weight(0);
  message.set_newcomer_weight(0);
  const auto policy = MergePolicy::FromProto(message);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->max_category_boost, 0);
  EXPECT_EQ(policy->purchase_suppression_ms, 0);
  EXPECT_EQ(policy->dislike_rating_at_most_micros, 0);
  EXPECT_EQ(policy->personal_weight, 0);
  EXPECT_EQ(policy->session_weight, 0);
  EXPECT_EQ(policy->fallback_weight, 0);
  EXPECT_EQ(policy->newcomer_weight, 0);
}

TEST(MergePolicyTest, SessionNeighboursTakeWhatIsGivenAndTheDefaultsOfTheConfigurationElse) {
  const SessionNeighbourOptions defaults = MergePolicy::FromProto(v1::MergePolicy())->session_neighbours;
  EXPECT_EQ(defaults.recent_sessions, 1500u);
  EXPECT_EQ(defaults.neighbours, 288u);
  EXPECT_EQ(defaults.last_items, 4u);
  EXPECT_EQ(defaults.item_half_life_places, 2);
  EXPECT_TRUE(defaults.by_idf);
  v1::MergePolicy message;
  message.mutable_session_neighbours()->set_neighbours(100);
  message.mutable_session_neighbours()->set_item_half_life_places(0);
  message.mutable_session_neighbours()->set_by_idf(false);
  const auto policy = MergePolicy::FromProto(message);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->session_neighbours.recent_sessions, 1500u);
  EXPECT_EQ(policy->session_neighbours.neighbours, 100u);
  EXPECT_EQ(policy->session_neighbours.item_half_life_places, 0);
  EXPECT_FALSE(policy->session_neighbours.by_idf);
  message.mutable_session_neighbours()->set_last_items(101);
  EXPECT_THAT(std::string(MergePolicy::FromProto(message).status().message()), HasSubstr("session_neighbours.last_items"));
}

TEST(MergePolicyTest, GivenEffectsReplaceTheDefaults) {
  v1::MergePolicy message;
  auto* effect = message.add_category_effects();
  effect->set_kind(v1::PURCHASE);
  effect->set_strength(-0.2);
  effect->set_half_life_seconds(60);
  const auto policy = MergePolicy::FromProto(message);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->EffectOf(v1::VIEW), nullptr);
  EXPECT_EQ(policy->EffectOf(v1::PURCHASE)->half_life_ms, 60'000);
}

struct RefusedCase {
  std::string field;
  void (*change)(v1::MergePolicy*);
};

class MergePolicyRefusedTest : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(MergePolicyRefusedTest, NamesTheField) {
  v1::MergePolicy message;
  GetParam().change(&message);
  const auto policy = MergePolicy::FromProto(message);
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(policy.status().message()), HasSubstr("field=" + GetParam().field + " "));
}

void AddEffect(v1::MergePolicy* message, v1::EventType kind, double strength, int half_life) {
  auto* effect = message->add_category_effects();
  effect->set_kind(kind);
  effect->set_strength(strength);
  effect->set_half_life_seconds(half_life);
}

INSTANTIATE_TEST_SUITE_P(
    All, MergePolicyRefusedTest,
    ::testing::Values(
        RefusedCase{"category_effects.kind",
                    [](v1::MergePolicy* p) { AddEffect(p, v1::EVENT_TYPE_UNSPECIFIED, 1, 1); }},
        RefusedCase{"category_effects.kind",
                    [](v1::MergePolicy* p) {
                      AddEffect(p, v1::VIEW, 1, 1);
                      AddEffect(p, v1::VIEW, 2, 1);
                    }},
        RefusedCase{"category_effects.strength",
                    [](v1::MergePolicy* p) { AddEffect(p, v1::VIEW, std::numeric_limits<double>::infinity(), 1); }},
        RefusedCase{"category_effects.half_life_seconds", [](v1::MergePolicy* p) { AddEffect(p, v1::VIEW, 1, 0); }},
        RefusedCase{"max_category_boost", [](v1::MergePolicy* p) { p->set_max_category_boost(-1); }},
        RefusedCase{"personal_weight", [](v1::MergePolicy* p) { p->set_personal_weight(-1); }},
        RefusedCase{"session_weight",
                    [](v1::MergePolicy* p) { p->set_session_weight(std::numeric_limits<double>::quiet_NaN()); }},
        RefusedCase{"fallback_weight", [](v1::MergePolicy* p) { p->set_fallback_weight(-0.1); }},
        RefusedCase{"newcomer_weight", [](v1::MergePolicy* p) { p->set_newcomer_weight(-1); }},
        RefusedCase{"dislike_rating_at_most", [](v1::MergePolicy* p) { p->set_dislike_rating_at_most(11); }},
        RefusedCase{"fatigue.impressions", [](v1::MergePolicy* p) { p->mutable_fatigue()->set_impressions(-1); }},
        RefusedCase{"fatigue.strength", [](v1::MergePolicy* p) { p->mutable_fatigue()->set_strength(-1); }},
        RefusedCase{"fatigue.window_seconds",
                    [](v1::MergePolicy* p) { p->mutable_fatigue()->set_window_seconds(86'401); }},
        RefusedCase{"purchase_suppression_days", [](v1::MergePolicy* p) { p->set_purchase_suppression_days(-1); }}));

TEST(ResolveWeightsTest, TheManifestWinsAndThePolicyFillsIn) {
  v1::SnapshotManifest manifest;
  auto* session = manifest.add_source_weights();
  session->set_source("session");
  session->set_weight(0.8);
  auto* broken = manifest.add_source_weights();
  broken->set_source("fallback");
  broken->set_weight(-1);
  const SourceWeights weights = ResolveWeights(manifest, MergePolicy::Default());
  EXPECT_EQ(weights.personal, 1);
  EXPECT_EQ(weights.session, 0.8);
  EXPECT_EQ(weights.fallback, 0.1);
  EXPECT_EQ(weights.newcomer, 0.25);
}

}  // namespace
}  // namespace tributary
