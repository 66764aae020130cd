#include "serving_layer/requests/experiments.h"

#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kUsers = 20'000;

std::string UserOf(int i) { return absl::StrCat("user-", i); }

v1::Config ConfigOf(const std::string& experiments) {
  const absl::StatusOr<v1::Config> config =
      LoadConfig("", std::vector<std::string>{absl::StrCat("serving {", experiments, "}")});
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(v1::Config());
}

Experiments Make(const std::string& experiments) { return *Experiments::FromConfig(ConfigOf(experiments)); }

std::map<std::string, int> CountUsers(const Experiments& experiments) {
  std::map<std::string, int> users;
  for (int i = 0; i < kUsers; ++i) {
    const ExperimentBucket* bucket = experiments.Of(UserOf(i));
    ++users[bucket == nullptr ? "" : bucket->name];
  }
  return users;
}

TEST(ExperimentsTest, BucketsHaveTheUsersThatTheirWeightsSay) {
  std::map<std::string, int> users =
      CountUsers(Make("experiments { name: 'e' share: 0.5 buckets { name: 'a' weight: 3 } buckets { name: 'b' } }"));
  EXPECT_EQ(users.size(), 3u);
  EXPECT_NEAR(users[""], 0.5 * kUsers, 5 * std::sqrt(0.25 * kUsers));
  EXPECT_NEAR(users["e/a"], 0.375 * kUsers, 5 * std::sqrt(0.25 * kUsers));
  EXPECT_NEAR(users["e/b"], 0.125 * kUsers, 5 * std::sqrt(0.11 * kUsers));
}

TEST(ExperimentsTest, AGrowingShareMovesNobodyFromOneBucketToAnother) {
  const std::string buckets = "buckets { name: 'a' } buckets { name: 'b' }";
  const Experiments small = Make("experiments { name: 'e' share: 0.2 " + buckets + "}");
  const Experiments large = Make("experiments { name: 'e' share: 0.7 " + buckets + "}");
  int stayed = 0;
  for (int i = 0; i < kUsers; ++i) {
    if (const ExperimentBucket* bucket = small.Of(UserOf(i))) {
      ASSERT_NE(large.Of(UserOf(i)), nullptr);
      ASSERT_EQ(large.Of(UserOf(i))->name, bucket->name);
      ++stayed;
    }
  }
  EXPECT_GT(stayed, kUsers / 10);
}

TEST(ExperimentsTest, TheFirstExperimentThatTakesAUserHasThem) {
  const Experiments one = Make("experiments { name: 'e' share: 0.5 buckets { name: 'a' } }");
  const Experiments two = Make(
      "experiments { name: 'e' share: 0.5 buckets { name: 'a' } } experiments { name: 'f' share: 0.5 buckets { name: 'b' } }");
  std::map<std::string, int> users = CountUsers(two);
  EXPECT_EQ(users["e/a"], CountUsers(one)["e/a"]);
  // Of those that the first one left, independently of how it chose.
  EXPECT_NEAR(users["f/b"], 0.25 * kUsers, 5 * std::sqrt(0.19 * kUsers));
}

TEST(ExperimentsTest, WhoIsInABucketIsForGood) {
  // Printed once by this code: whatever changes it moves the users of every running experiment.
  const Experiments experiments = Make("experiments { name: 'e' buckets { name: 'a' } buckets { name: 'b' } }");
  std::string buckets;
  for (int i = 0; i < 32; ++i) {
    absl::StrAppend(&buckets, experiments.Of(UserOf(i))->name.substr(2));
  }
  EXPECT_EQ(buckets, "ababbbabbaabbaaababbbabbbbaaaabb");
  EXPECT_EQ(experiments.Of(""), nullptr);
}

TEST(ExperimentsTest, ABucketOverlaysThePolicyAndTheWeightsOfTheManifest) {
  const Experiments experiments = Make(
      "experiments { name: 'e' buckets { name: 'a' merge { session_weight: 2 purchase_suppression_days: 3"
      " category_effects { kind: VIEW strength: 1 half_life_seconds: 60 } } } buckets { name: 'control' } }");
  const ExperimentBucket& bucket = *experiments.Find("e/a");
  EXPECT_EQ(bucket.policy.purchase_suppression_ms, 3LL * 24 * 3600 * 1000);
  ASSERT_EQ(bucket.policy.category_effects.size(), 1u);
  EXPECT_EQ(bucket.policy.category_effects[0].half_life_ms, 60'000);
  EXPECT_EQ(bucket.policy.max_category_boost, 2);
  const SourceWeights of_manifest{.personal = 0.7, .session = 0.3, .fallback = 0.05};
  EXPECT_EQ(bucket.WeightsOf(of_manifest).personal, 0.7);
  EXPECT_EQ(bucket.WeightsOf(of_manifest).session, 2);
  EXPECT_EQ(experiments.Find("e/control")->WeightsOf(of_manifest).session, 0.3);
  EXPECT_EQ(experiments.Find("e/control")->policy.category_effects.size(), MergePolicy::Default().category_effects.size());
  EXPECT_EQ(experiments.Find("e/nothing"), nullptr);
  EXPECT_THAT(experiments.BucketsOf("e"), ElementsAre("e/a", "e/control"));
  EXPECT_THAT(experiments.BucketsOf("f"), ElementsAre());
}

TEST(ExperimentsTest, ConfigurationsThatCannotBeAreRefusedByField) {
  const auto refusal = [](const std::string& experiments) {
    return std::string(
        LoadConfig("", std::vector<std::string>{absl::StrCat("serving {", experiments, "}")}).status().message());
  };
  const std::string bucket = "buckets { name: 'a' }";
  EXPECT_THAT(refusal("experiments { " + bucket + "}"), HasSubstr("field=serving.experiments.name"));
  EXPECT_THAT(refusal("experiments { name: 'a/b' " + bucket + "}"), HasSubstr("field=serving.experiments.name"));
  EXPECT_THAT(refusal("experiments { name: '" + std::string(32, 'e') + "' " + bucket + "}"),
              HasSubstr("field=serving.experiments.name"));
  EXPECT_THAT(refusal("experiments { name: 'e' " + bucket + "} experiments { name: 'e' " + bucket + "}"),
              HasSubstr("is there twice"));
  EXPECT_THAT(refusal("experiments { name: 'e' }"), HasSubstr("field=serving.experiments.buckets"));
  EXPECT_THAT(refusal("experiments { name: 'e' share: 1.5 " + bucket + "}"),
              HasSubstr("field=serving.experiments.share"));
  EXPECT_THAT(refusal("experiments { name: 'e' buckets { name: 'a' weight: -1 } }"),
              HasSubstr("field=serving.experiments.buckets.weight"));
  EXPECT_THAT(refusal("experiments { name: 'e' buckets { name: 'a' merge { session_weight: -1 } } }"),
              HasSubstr("field=serving.experiments.buckets.merge.session_weight"));
  EXPECT_THAT(refusal("experiments { name: 'e' buckets { name: 'a' generation: 1 } buckets { name: 'b' generation: 2 } }"),
              HasSubstr("field=serving.experiments.buckets.generation"));
}

class ExperimentAnswersTest : public ServingLayerTest {
 protected:
  void StartWith(const std::string& experiments) {
    *world_.config.mutable_serving()->mutable_experiments() = ConfigOf(experiments).serving().experiments();
    world_.WriteSnapshot(1, 0, 0, 0);
    world_.Activate(1);
    StartReady();
  }
  grpc::Status Rates(const v1::ExperimentRatesRequest& request, v1::ExperimentRatesResponse* response) {
    grpc::ClientContext context;
    return v1::AnalyticsService::NewStub(channel_)->ExperimentRates(&context, request, response);
  }
};

TEST_F(ExperimentAnswersTest, AnAnswerNamesItsBucketAndIsMadeByItsPolicy) {
  StartWith(
      "experiments { name: 'e' buckets { name: 'calm' merge { max_category_boost: 0.001 } }"
      " buckets { name: 'wild' weight: 1 } }");
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::VIEW, "i9", 11)});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  v1::RecommendRequest request;
  request.set_user_id("ann");
  v1::RecommendResponse own, calm, wild;
  ASSERT_TRUE(Recommend(request, &own).ok());
  request.set_experiment_bucket("e/calm");
  ASSERT_TRUE(Recommend(request, &calm).ok());
  request.set_experiment_bucket("e/wild");
  ASSERT_TRUE(Recommend(request, &wild).ok());
  EXPECT_EQ(calm.experiment_bucket(), "e/calm");
  EXPECT_EQ(wild.experiment_bucket(), "e/wild");
  // i9 is a toy: toys rise where the cap lets them.
  EXPECT_LT(Ids(wild).find("i3"), Ids(wild).find("i2"));
  EXPECT_LT(Ids(calm).find("i2"), Ids(calm).find("i3"));
  EXPECT_EQ(Ids(own), Ids(own.experiment_bucket() == "e/calm" ? calm : wild));

  v1::ScoreRequest score;
  score.set_user_id("ann");
  score.add_item_ids("i2");
  v1::ScoreResponse scored;
  grpc::ClientContext context;
  ASSERT_TRUE(recommendations_->Score(&context, score, &scored).ok());
  EXPECT_EQ(scored.experiment_bucket(), own.experiment_bucket());
}

TEST_F(ExperimentAnswersTest, ABucketThatIsNotConfiguredIsRefused) {
  StartWith("experiments { name: 'e' share: 0.000001 buckets { name: 'a' } }");
  v1::RecommendRequest request;
  request.set_user_id("ann");
  v1::RecommendResponse response;
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_EQ(response.experiment_bucket(), "");
  request.set_experiment_bucket("e/b");
  const grpc::Status status = Recommend(request, &response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("experiment_bucket"));
}

TEST_F(ExperimentAnswersTest, WhatIsPublishedGetsTheBucketOfItsUserUnlessItNamesOne) {
  StartWith("experiments { name: 'e' buckets { name: 'a' } }");
  const auto events = v1::EventService::NewStub(channel_);
  const auto publish = [&](v1::EventType type, const std::string& bucket) {
    v1::PublishRequest request;
    request.mutable_event()->set_user_id("ann");
    request.mutable_event()->set_type(type);
    request.mutable_event()->set_item_id("i1");
    request.mutable_event()->set_experiment_bucket(bucket);
    v1::PublishResponse response;
    grpc::ClientContext context;
    const grpc::Status status = events->Publish(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    v1::Event event;
    for (const LogRecord& record :
         world_.log.Records({world_.topics.events, PartitionId{response.position().partition()}}, Isolation::kCommitted)) {
      if (Value(record.offset) == response.position().offset()) {
        EXPECT_TRUE(event.ParseFromString(*record.value));
      }
    }
    return event.experiment_bucket();
  };
  EXPECT_EQ(publish(v1::IMPRESSION, ""), "e/a");
  EXPECT_EQ(publish(v1::CLICK, "mine"), "mine");
  EXPECT_EQ(publish(v1::FORGET, ""), "");
}

TEST_F(ExperimentAnswersTest, RatesAreWhatWasCountedByBucket) {
  StartWith("experiments { name: 'e' buckets { name: 'a' } buckets { name: 'b' } }");
  v1::LiveCounts counts;
  *counts.mutable_position() = world_.Position(16);
  for (const auto& [type, events, value] : {std::tuple(v1::IMPRESSION, 200, 0), {v1::CLICK, 3, 0}, {v1::PURCHASE, 1, 7}}) {
    v1::CountDelta* delta = counts.add_deltas();
    delta->set_measure(v1::BY_BUCKET);
    delta->set_key("e/a");
    delta->set_type(type);
    delta->set_events(events);
    delta->set_value_micros(value);
  }
  std::sort(counts.mutable_deltas()->begin(), counts.mutable_deltas()->end(),
            [](const v1::CountDelta& a, const v1::CountDelta& b) { return a.type() < b.type(); });
  world_.Put(world_.topics.live_counts, "0", counts.SerializeAsString(), 0);
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  v1::ExperimentRatesRequest request;
  v1::ExperimentRatesResponse response;
  ASSERT_TRUE(Rates(request, &response).ok());
  ASSERT_EQ(response.buckets_size(), 2);
  EXPECT_EQ(response.buckets(0).bucket(), "e/a");
  EXPECT_EQ(response.buckets(0).impressions(), 200);
  EXPECT_EQ(response.buckets(0).clicks(), 3);
  EXPECT_EQ(response.buckets(0).purchase_value_micros(), 7);
  EXPECT_DOUBLE_EQ(response.buckets(0).click_rate(), 0.015);
  EXPECT_DOUBLE_EQ(response.buckets(0).purchase_rate(), 0.005);
  EXPECT_EQ(response.buckets(1).bucket(), "e/b");
  EXPECT_FALSE(response.buckets(1).has_click_rate());
  EXPECT_EQ(response.freshness().generation(), 1);

  request.set_experiment("f");
  EXPECT_EQ(Rates(request, &response).error_code(), grpc::NOT_FOUND);
  request.add_buckets("e/a");
  EXPECT_EQ(Rates(request, &response).error_code(), grpc::INVALID_ARGUMENT);
  request.clear_experiment();
  response.Clear();
  ASSERT_TRUE(Rates(request, &response).ok());
  EXPECT_EQ(response.buckets(0).impressions(), 200);
}

TEST_F(ExperimentAnswersTest, ASnapshotThatDidNotCountBucketsSaysSo) {
  world_.counts_buckets = false;
  StartWith("experiments { name: 'e' buckets { name: 'a' } }");
  v1::ExperimentRatesResponse response;
  const grpc::Status status = Rates({}, &response);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("measure=BY_BUCKET"));
}

}  // namespace
}  // namespace tributary::serving
