// A second snapshot beside the current one: canaries, buckets with a snapshot of their own, and requests that name one.
#include <filesystem>
#include <set>

#include "serving_layer/requests/experiments.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kUsers = 400;

class CanaryServingTest : public ServingLayerTest {
 protected:
  void SetUp() override {
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.WriteSnapshot(2, 12, 0, 0, {{0, 11}});   // Ann bought i0 meanwhile.
    world_.WriteSnapshot(3, 12, 0, 0);
    world_.Activate(1);
  }
  grpc::Status StartCanary(int64_t generation, double percent) {
    v1::StartCanaryRequest request;
    request.set_generation(generation);
    request.set_percent(percent);
    v1::StartCanaryResponse response;
    grpc::ClientContext context;
    return v1::AdminService::NewStub(channel_)->StartCanary(&context, request, &response);
  }
  v1::GetCanaryResponse GetCanary() {
    v1::GetCanaryResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(v1::AdminService::NewStub(channel_)->GetCanary(&context, {}, &response).ok());
    return response;
  }
  void AwaitCanary(int64_t generation, double percent) {
    const grpc::Status status = StartCanary(generation, percent);
    ASSERT_TRUE(status.ok()) << status.error_message();
    Eventually([&] { return GetCanary().serving(); }, "canary");
    // A new share of the same candidate is taken over soon.
    const std::set<std::string> expected = UsersBelow(generation, percent);
    Eventually([&] { return UsersOf(generation) == expected; }, "the canary's users");
  }
  static std::set<std::string> UsersBelow(int64_t generation, double percent) {
    std::set<std::string> users;
    for (int i = 0; i < kUsers; ++i) {
      const std::string user = absl::StrCat("user-", i);
      if (UserPoint(user, static_cast<uint64_t>(generation)) < percent / 100) {
        users.insert(user);
      }
    }
    return users;
  }
  // Who is served from the generation.
  std::set<std::string> UsersOf(int64_t generation) {
    v1::BatchRecommendRequest request;
    std::set<std::string> users;
    for (int i = 0; i < kUsers; ++i) {
      v1::RecommendRequest* one = request.add_requests();
      one->set_user_id(absl::StrCat("user-", i));
      one->set_limit(1);
      if (request.requests_size() == 100) {
        v1::BatchRecommendResponse response;
        grpc::ClientContext context;
        EXPECT_TRUE(recommendations_->BatchRecommend(&context, request, &response).ok());
        for (int r = 0; r < response.responses_size(); ++r) {
          if (response.responses(r).freshness().generation() == generation) {
            users.insert(request.requests(r).user_id());
          }
        }
        request.Clear();
      }
    }
    return users;
  }
};

TEST_F(CanaryServingTest, AShareOfTheUsersIsServedFromTheCandidateAndAGreaterOneKeepsThem) {
  StartReady();
  EXPECT_FALSE(GetCanary().has_canary());
  AwaitCanary(2, 20);
  const std::set<std::string> few = UsersOf(2);
  EXPECT_GT(few.size(), size_t{kUsers / 10});
  EXPECT_LT(few.size(), size_t{kUsers / 3});
  EXPECT_EQ(UsersOf(1).size() + few.size(), size_t{kUsers});
  AwaitCanary(2, 60);
  const std::set<std::string> many = UsersOf(2);
  EXPECT_TRUE(std::includes(many.begin(), many.end(), few.begin(), few.end()));
  const v1::ListSnapshotsResponse listed = ListSnapshots();
  ASSERT_EQ(listed.snapshots_size(), 3);
  EXPECT_FALSE(listed.snapshots(0).held());
  EXPECT_TRUE(listed.snapshots(1).held());
  EXPECT_FALSE(listed.snapshots(1).serving());

  v1::StopCanaryResponse stopped;
  grpc::ClientContext context;
  ASSERT_TRUE(v1::AdminService::NewStub(channel_)->StopCanary(&context, {}, &stopped).ok());
  EXPECT_EQ(stopped.stopped().percent(), 60);
  Eventually([&] { return UsersOf(1).size() == kUsers; }, "the end of the canary");
  EXPECT_FALSE(GetCanary().has_canary());
}

TEST_F(CanaryServingTest, WhatAUserDidIsInTheAnswerFromEitherSnapshot) {
  StartReady();
  AwaitCanary(2, 100);
  EXPECT_THAT(Ids(RecommendTo("ann")), testing::Not(HasSubstr("i0")));
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_as_of_generation(1);
  v1::RecommendResponse response;
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_THAT(Ids(response), HasSubstr("i0"));
  EXPECT_EQ(response.freshness().generation(), 1);
  // The purchase at 11 is below the candidate's W and above that of the current one.
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::PURCHASE, "i0", 11), world_.FactOf(v1::DISLIKE, "i1", 14)});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  response.Clear();
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_THAT(Ids(response), testing::Not(AllOf(HasSubstr("i0"), HasSubstr("i1"))));
  EXPECT_THAT(Ids(RecommendTo("ann")), testing::Not(AllOf(HasSubstr("i0"), HasSubstr("i1"))));
}

TEST_F(CanaryServingTest, ItEndsWhenAnotherSnapshotBecomesCurrentAndStaysEnded) {
  StartReady();
  AwaitCanary(2, 30);
  world_.Activate(2);
  Eventually([&] { return UsersOf(2).size() == kUsers; }, "the candidate for all");
  EXPECT_FALSE(GetCanary().has_canary());
  world_.Activate(1);
  Eventually([&] { return UsersOf(1).size() == kUsers; }, "the rollback");
  EXPECT_FALSE(GetCanary().has_canary());
  EXPECT_EQ(world_.metrics.AddCounter("tributary_serving_snapshot_refusals_total", "").value(), 0);
}

TEST_F(CanaryServingTest, ItSurvivesARestart) {
  StartReady();
  AwaitCanary(2, 30);
  const std::set<std::string> before = UsersOf(2);
  serving_.reset();
  StartReady();
  Eventually([&] { return GetCanary().serving(); }, "canary");
  EXPECT_EQ(UsersOf(2), before);
}

TEST_F(CanaryServingTest, ARequestMayNameAHeldGenerationAndNoOther) {
  StartReady();
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_as_of_generation(2);
  v1::RecommendResponse response;
  grpc::Status status = Recommend(request, &response);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("as_of_generation"), HasSubstr("current=1")));
  AwaitCanary(2, 0);
  EXPECT_EQ(UsersOf(1).size(), size_t{kUsers});
  response.Clear();
  request.set_limit(3);
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_EQ(response.freshness().generation(), 2);
  request.set_page_token(response.next_page_token());
  response.Clear();
  status = Recommend(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.freshness().generation(), 2);
}

TEST_F(CanaryServingTest, ACandidateThatCannotBeServedIsRefusedWithItsReason) {
  StartReady();
  EXPECT_EQ(StartCanary(0, 5).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(StartCanary(2, 101).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(StartCanary(2, std::numeric_limits<double>::quiet_NaN()).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(StartCanary(1, 5).error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(StartCanary(9, 5).error_code(), grpc::NOT_FOUND);
  // The right size, other bytes: seen only when every checksum is looked at.
  const std::string path = absl::StrCat(world_.config.storage().snapshots_dir(), "/2/neighbours.bin");
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(9) << '!';
  ASSERT_TRUE(StartCanary(2, 50).ok());
  Eventually([&] { return !GetCanary().refused().empty(); }, "refusal");
  EXPECT_THAT(GetCanary().refused(), HasSubstr("neighbours.bin"));
  EXPECT_FALSE(GetCanary().serving());
  EXPECT_EQ(UsersOf(1).size(), size_t{kUsers});
}

TEST_F(CanaryServingTest, ACandidateBelowTheFloorServesNobody) {
  world_.WriteSnapshot(4, 30, 0, 0);
  world_.Activate(4);
  StartReady();
  AwaitCanary(2, 100);
  world_.PutProgress(0, world_.Position(30, 1, 11));   // Below W of the candidate.
  AwaitApplied(0, 30);
  EXPECT_EQ(UsersOf(2).size(), size_t{kUsers});
  world_.PutProgress(0, world_.Position(31, 1, 13));
  AwaitApplied(0, 31);
  EXPECT_EQ(UsersOf(4).size(), size_t{kUsers});
  Eventually([&] { return !GetCanary().refused().empty(); }, "refusal");
  EXPECT_THAT(GetCanary().refused(), HasSubstr("floor=13"));
  Eventually([&] { return !GetCanary().serving(); }, "the end of its service");
}

TEST_F(CanaryServingTest, ABucketMayHaveASnapshotOfItsOwn) {
  v1::Experiment* experiment = world_.config.mutable_serving()->add_experiments();
  experiment->set_name("e");
  experiment->set_share(1);
  for (const int64_t generation : {0, 2}) {
    v1::ExperimentBucket* bucket = experiment->add_buckets();
    bucket->set_name(absl::StrCat("g", generation));
    bucket->set_weight(1);
    bucket->set_generation(generation);
  }
  StartReady();
  Eventually([&] { return UsersOf(2).size() > kUsers / 3; }, "the bucket's snapshot");
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_experiment_bucket("e/g2");
  v1::RecommendResponse response;
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_EQ(response.freshness().generation(), 2);
  EXPECT_EQ(response.experiment_bucket(), "e/g2");
  request.set_experiment_bucket("e/g0");
  response.Clear();
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_EQ(response.freshness().generation(), 1);

  EXPECT_EQ(StartCanary(3, 5).error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_TRUE(StartCanary(2, 5).ok());
}

TEST_F(CanaryServingTest, TheUsersOfABucketWithoutItsSnapshotAreInNone) {
  v1::Experiment* experiment = world_.config.mutable_serving()->add_experiments();
  experiment->set_name("e");
  experiment->set_share(1);
  v1::ExperimentBucket* bucket = experiment->add_buckets();
  bucket->set_name("b");
  bucket->set_weight(1);
  bucket->set_generation(9);
  StartReady();
  EXPECT_EQ(RecommendTo("ann").experiment_bucket(), "");
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_experiment_bucket("e/b");
  v1::RecommendResponse response;
  EXPECT_EQ(Recommend(request, &response).error_code(), grpc::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace tributary::serving
