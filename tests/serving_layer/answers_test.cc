// The answers beside Recommend: lists of the caller's, what is known of a user, explanations, several users at once.
#include "common/counts/counts.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class AnswersTest : public ServingLayerTest {
 protected:
  // Ann bought i2 before W, and viewed i4 and i5 after it; a minute lies between.
  void StartWithAnn() {
    world_.WriteSnapshot(1, 10, 0, 0, {{2, 3}});
    world_.Activate(1);
    v1::Fact first = world_.FactOf(v1::VIEW, "i4", 11);
    v1::Fact second = world_.FactOf(v1::VIEW, "i5", 12);
    second.set_event_time_unix_ms(world_.now_ms());
    world_.PutView(0, "ann", world_.Position(20), {first, second});
    world_.PutProgress(0, world_.Position(20));
    StartReady();
    AwaitApplied(0, 20);
  }
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::RecommendationService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                            Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (recommendations_.get()->*method)(&context, request, response);
  }
  template <typename Request, typename Response>
  std::string Refusal(grpc::Status (v1::RecommendationService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                              Response*),
                      const Request& request) {
    Response response;
    const grpc::Status status = Call(method, request, &response);
    return absl::StrCat(status.error_code(), " ", status.error_message());
  }
  v1::WhyNotResponse WhyNot(const v1::WhyNotRequest& request) {
    v1::WhyNotResponse response;
    const grpc::Status status = Call(&Stub::WhyNot, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  template <typename Items>
  static std::vector<std::string> IdsOf(const Items& items) {
    std::vector<std::string> ids;
    for (const auto& item : items) {
      ids.push_back(item.item_id());
    }
    return ids;
  }
  // One count of item and type at a time.
  void PutItemCount(int64_t segment_start, const std::string& item_id, v1::EventType type, int64_t time_ms,
                    int64_t events, int64_t applied = 20) {
    v1::LiveCounts counts;
    *counts.mutable_position() = world_.Position(applied);
    counts.set_segment_start(segment_start);
    v1::CountDelta* delta = counts.add_deltas();
    delta->set_measure(v1::BY_ITEM);
    delta->set_key(item_id);
    delta->set_type(type);
    delta->set_quarter_hour(QuarterHour(time_ms));
    delta->set_events(events);
    world_.Put(world_.topics.live_counts, absl::StrCat(segment_start), counts.SerializeAsString(), 0);
  }

  using Stub = v1::RecommendationService::Stub;
  const std::string invalid_ = absl::StrCat(grpc::INVALID_ARGUMENT, " ");
};

TEST_F(AnswersTest, ScoreRanksWhatIsGivenAndLeavesOutWhatMayNotBeShown) {
  StartWithAnn();
  v1::ScoreRequest request;
  request.set_user_id("ann");
  for (const char* item : {"i9", "i2", "i0", "nothing", "i3"}) {
    request.add_item_ids(item);
  }
  v1::ScoreResponse response;
  ASSERT_TRUE(Call(&Stub::Score, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i0", "i3", "i9"));
  EXPECT_GT(response.items(0).reasons_size(), 0);
  EXPECT_EQ(response.freshness().generation(), 1);
  EXPECT_THAT(Refusal(&Stub::Score, {}), StartsWith(invalid_ + "user_id"));
  request.clear_item_ids();
  EXPECT_THAT(Refusal(&Stub::Score, request), StartsWith(invalid_ + "item_ids"));
  for (int i = 0; i <= 1000; ++i) {
    request.add_item_ids("i0");
  }
  EXPECT_THAT(Refusal(&Stub::Score, request), StartsWith(invalid_ + "item_ids has more than 1000"));
}

TEST_F(AnswersTest, RecentlyViewedIsByTimeAcrossTheSeam) {
  StartWithAnn();
  v1::RecentlyViewedRequest request;
  request.set_user_id("ann");
  v1::RecentlyViewedResponse response;
  ASSERT_TRUE(Call(&Stub::RecentlyViewed, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i5", "i4"));
  ASSERT_EQ(response.events_size(), 2);
  EXPECT_EQ(response.events(0).position().offset(), 12);
  EXPECT_EQ(response.events(1).age().seconds(), 60);
  request.set_limit(1);
  ASSERT_TRUE(Call(&Stub::RecentlyViewed, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i5"));
  request.set_limit(101);
  EXPECT_THAT(Refusal(&Stub::RecentlyViewed, request), StartsWith(invalid_ + "limit"));
}

TEST_F(AnswersTest, ProfileIsSnapshotAndLiveTogetherAndForgettingShows) {
  StartWithAnn();
  v1::GetProfileRequest request;
  request.set_user_id("ann");
  v1::GetProfileResponse response;
  ASSERT_TRUE(Call(&Stub::GetProfile, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i2", "i4", "i5"));
  EXPECT_EQ(response.items(0).decisions(0).type(), v1::PURCHASE);
  EXPECT_FALSE(response.has_forgotten_until());
  v1::Fact forget = world_.FactOf(v1::FORGET, "", 25);
  forget.set_event_time_unix_ms(world_.now_ms());
  world_.PutView(0, "ann", world_.Position(30), {forget});
  world_.PutProgress(0, world_.Position(30));
  AwaitApplied(0, 30);
  ASSERT_TRUE(Call(&Stub::GetProfile, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), IsEmpty());
  EXPECT_EQ(response.forgotten_until().seconds(), world_.now_ms() / 1000);
  request.set_user_id("nobody");
  ASSERT_TRUE(Call(&Stub::GetProfile, request, &response).ok());
  EXPECT_THAT(response.freshness().degraded(), testing::Contains(v1::UNKNOWN_USER));
}

TEST_F(AnswersTest, LatestIsByAvailabilityAndFollowsTheCatalogue) {
  StartWithAnn();
  v1::LatestRequest request;
  v1::LatestResponse response;
  ASSERT_TRUE(Call(&Stub::Latest, request, &response).ok());
  EXPECT_THAT(response.items(), IsEmpty());
  const int64_t now = world_.now_ms() / 1000;
  const auto put = [&](const std::string& id, int64_t from, const std::string& category) {
    v1::Item item;
    item.set_item_id(id);
    item.add_categories(category);
    item.mutable_available_from()->set_seconds(from);
    world_.Put(world_.topics.items, id, item.SerializeAsString());
  };
  put("old", now - 1000, "tea");
  put("new", now - 10, "toys");
  put("newer", now - 5, "tea");
  put("soon", now + 1000, "tea");
  Eventually([&] { return Call(&Stub::Latest, request, &response).ok() && response.items_size() == 3; }, "latest");
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("newer", "new", "old"));
  EXPECT_EQ(response.items(0).reasons(0).source(), v1::LATEST);
  request.set_category("tea");
  ASSERT_TRUE(Call(&Stub::Latest, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("newer", "old"));
  request.set_category("no such");
  ASSERT_TRUE(Call(&Stub::Latest, request, &response).ok());
  EXPECT_THAT(response.items(), IsEmpty());
  // A later snapshot's numbers are other ones.
  world_.WriteSnapshot(2, 10, 0, 0);
  world_.Activate(2);
  Eventually([&] { return Call(&Stub::Latest, {}, &response).ok() && response.freshness().generation() == 2; }, "swap");
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("newer", "new", "old"));
}

TEST_F(AnswersTest, TrendingCountsTheWindowByItemAndKind) {
  StartWithAnn();
  const int64_t now = world_.now_ms();
  constexpr int64_t kHour = 3'600'000;
  PutItemCount(0, "i1", v1::VIEW, now, 7);
  PutItemCount(16, "i2", v1::PURCHASE, now, 2);
  PutItemCount(32, "i3", v1::PURCHASE, now - 2 * kHour, 9);
  PutItemCount(48, "i4", v1::IMPRESSION, now, 100);
  world_.PutProgress(0, world_.Position(70));
  AwaitApplied(0, 70);
  v1::TrendingRequest request;
  v1::TrendingResponse response;
  Eventually([&] { return Call(&Stub::Trending, request, &response).ok() && response.items_size() == 2; }, "trends");
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i2", "i1"));
  EXPECT_FLOAT_EQ(response.items(0).score(), 1);
  EXPECT_NEAR(response.items(1).score(), 0.7, 1e-5);
  EXPECT_EQ(response.items(0).reasons(0).source(), v1::TRENDING);
  request.mutable_window()->set_seconds(3 * 3600);
  ASSERT_TRUE(Call(&Stub::Trending, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i3", "i2", "i1"));
  request.set_category("toys");
  ASSERT_TRUE(Call(&Stub::Trending, request, &response).ok());
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i3", "i1"));
  request.mutable_window()->set_seconds(59);
  EXPECT_THAT(Refusal(&Stub::Trending, request), StartsWith(invalid_ + "window must be 1m to 24h"));
  // A newer version of a segment takes the place of the one before; a tombstone takes it away.
  PutItemCount(0, "i1", v1::VIEW, now, 11, /*applied=*/71);
  world_.PutCountsTombstone(0, 16, world_.Position(71, 1, 32));
  Eventually([&] { return Call(&Stub::Trending, {}, &response).ok() && response.items_size() == 1; }, "tombstone");
  EXPECT_THAT(IdsOf(response.items()), ElementsAre("i1"));
}

TEST_F(AnswersTest, BecauseIsTheItemAsItIsServed) {
  StartWithAnn();
  const v1::RecommendResponse served = RecommendTo("ann");
  for (int i = 0; i < served.items_size(); ++i) {
    v1::BecauseRequest request;
    request.set_user_id("ann");
    request.set_item_id(served.items(i).item_id());
    v1::BecauseResponse response;
    ASSERT_TRUE(Call(&Stub::Because, request, &response).ok());
    EXPECT_EQ(response.rank(), i + 1);
    EXPECT_EQ(response.item().SerializeAsString(), served.items(i).SerializeAsString());
  }
  v1::BecauseRequest request;
  request.set_user_id("ann");
  request.set_item_id("i2");
  EXPECT_THAT(Refusal(&Stub::Because, request),
              testing::AllOf(StartsWith(absl::StrCat(grpc::NOT_FOUND)), HasSubstr("SUPPRESSED")));
  request.mutable_request()->set_user_id("bob");
  EXPECT_THAT(Refusal(&Stub::Because, request), StartsWith(invalid_ + "request.user_id"));
  EXPECT_THAT(Refusal(&Stub::Because, {}), StartsWith(invalid_ + "item_id"));
  request.clear_user_id();
  request.clear_request();
  EXPECT_THAT(Refusal(&Stub::Because, request), StartsWith(invalid_ + "user_id"));
  request.mutable_request()->set_limit(101);
  request.set_user_id("ann");
  EXPECT_THAT(Refusal(&Stub::Because, request), StartsWith(invalid_ + "request.limit"));
}

TEST_F(AnswersTest, WhatWasShownInVainSinksAndWhyNotSaysSo) {
  world_.config.mutable_merge()->mutable_fatigue()->set_impressions(2);
  StartWithAnn();
  v1::WhyNotRequest request;
  request.set_user_id("ann");
  request.set_item_id("i0");
  request.mutable_request()->set_limit(1);
  ASSERT_EQ(WhyNot(request).cause(), v1::WhyNotResponse::SHOWN);
  std::vector<v1::Fact> shown;
  for (int64_t offset : {21, 22, 23}) {
    shown.push_back(world_.FactOf(v1::IMPRESSION, "i0", offset));
    shown.back().set_event_time_unix_ms(world_.now_ms());
  }
  world_.PutView(0, "ann", world_.Position(30), shown);
  world_.PutProgress(0, world_.Position(30));
  AwaitApplied(0, 30);
  const v1::WhyNotResponse response = WhyNot(request);
  EXPECT_EQ(response.cause(), v1::WhyNotResponse::RANKED_TOO_LOW);
  ASSERT_GT(response.item().reasons_size(), 1);
  const v1::Reason& reason = *response.item().reasons().rbegin();
  EXPECT_EQ(reason.fatigue().impressions(), 3);
  EXPECT_EQ(reason.fatigue().cause().type(), v1::IMPRESSION);
  EXPECT_EQ(reason.fatigue().cause().position().offset(), 23);
  EXPECT_NEAR(reason.part(), 1 / 3.0, 1e-6);
}

TEST_F(AnswersTest, WhyNotNamesTheEventTheRuleTheFieldAndThePlace) {
  StartWithAnn();
  v1::Rule rule;
  rule.set_rule_id("no-i0");
  rule.set_action(v1::HIDE);
  rule.set_item_id("i0");
  world_.Put(world_.topics.rules, rule.rule_id(), rule.SerializeAsString());
  v1::WhyNotRequest request;
  request.set_user_id("ann");
  request.set_item_id("i0");
  Eventually([&] { return WhyNot(request).cause() == v1::WhyNotResponse::HIDDEN_BY_RULE; }, "rule");
  EXPECT_EQ(WhyNot(request).rule_id(), "no-i0");
  request.set_item_id("i2");
  v1::WhyNotResponse response = WhyNot(request);
  EXPECT_EQ(response.cause(), v1::WhyNotResponse::SUPPRESSED);
  EXPECT_EQ(response.event().type(), v1::PURCHASE);
  EXPECT_EQ(response.event().position().offset(), 3);
  EXPECT_EQ(response.detail(), "bought, and stays away for 30 days");
  request.set_item_id("unheard of");
  EXPECT_EQ(WhyNot(request).cause(), v1::WhyNotResponse::UNKNOWN_ITEM);
  request.set_item_id("i9");
  EXPECT_EQ(WhyNot(request).cause(), v1::WhyNotResponse::SHOWN);
  request.mutable_request()->set_limit(1);
  response = WhyNot(request);
  EXPECT_EQ(response.cause(), v1::WhyNotResponse::RANKED_TOO_LOW);
  EXPECT_GT(response.rank(), 1);
  EXPECT_EQ(response.candidates(), 8);
  EXPECT_GT(response.item().score(), 0);
  request.mutable_request()->mutable_filter()->add_include_categories("tea");
  response = WhyNot(request);
  EXPECT_EQ(response.cause(), v1::WhyNotResponse::FILTERED);
  EXPECT_EQ(response.detail(), "filter.include_categories");
}

TEST_F(AnswersTest, AnEmptyAnswerSaysWhatKeptItemsOut) {
  StartWithAnn();
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.mutable_filter()->add_include_categories("nothing has it");
  v1::RecommendResponse response;
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_EQ(response.items_size(), 0);
  ASSERT_EQ(response.absent_size(), 2);
  EXPECT_EQ(response.absent(0).cause(), v1::WhyNotResponse::SUPPRESSED);
  EXPECT_EQ(response.absent(0).items(), 1);
  EXPECT_EQ(response.absent(1).cause(), v1::WhyNotResponse::FILTERED);
  EXPECT_EQ(response.absent(1).items(), 9);
  EXPECT_EQ(RecommendTo("ann").absent_size(), 0);
}

TEST_F(AnswersTest, AsOfTimeForgetsWhatCameAfterIt) {
  StartWithAnn();
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_as_of_generation(1);
  const auto last_view_at = [&](int64_t before_ms) {
    const int64_t time = world_.now_ms() - before_ms;
    request.mutable_as_of_time()->set_seconds(time / 1000);
    request.mutable_as_of_time()->set_nanos(static_cast<int32_t>(time % 1000 * 1'000'000));
    v1::RecommendResponse response;
    EXPECT_TRUE(Recommend(request, &response).ok());
    std::string causes;
    for (const v1::RecommendedItem& item : response.items()) {
      for (const v1::Reason& reason : item.reasons()) {
        if (reason.has_category_boost()) {
          causes = absl::StrCat(causes, reason.category_boost().cause().position().offset(), " ");
        }
      }
      if (!causes.empty()) {
        break;
      }
    }
    return causes;
  };
  EXPECT_FALSE(last_view_at(0).empty());
  EXPECT_EQ(last_view_at(30'000), "11 ");
  EXPECT_EQ(last_view_at(120'000), "");
  request.mutable_as_of_time()->set_seconds(world_.now_ms() / 1000 + 100);
  EXPECT_THAT(Refusal(&Stub::Recommend, request), StartsWith(invalid_ + "as_of_time"));
  request.set_as_of_generation(7);
  EXPECT_THAT(Refusal(&Stub::Recommend, request),
              StartsWith(absl::StrCat(grpc::FAILED_PRECONDITION, " as_of_generation")));
}

TEST_F(AnswersTest, ABatchAnswersEachAsItselfAndAGroupLeavesOutWhatOneRejects) {
  StartWithAnn();
  world_.PutView(0, "bob", world_.Position(21), {world_.FactOf(v1::DISLIKE, "i0", 15)});
  world_.PutProgress(0, world_.Position(21));
  AwaitApplied(0, 21);
  v1::BatchRecommendRequest request;
  request.add_requests()->set_user_id("ann");
  request.add_requests()->set_user_id("bob");
  v1::BatchRecommendResponse response;
  ASSERT_TRUE(Call(&Stub::BatchRecommend, request, &response).ok());
  ASSERT_EQ(response.responses_size(), 2);
  EXPECT_EQ(Ids(response.responses(0)), Ids(RecommendTo("ann")));
  EXPECT_EQ(Ids(response.responses(1)), Ids(RecommendTo("bob")));
  request.set_as_group(true);
  response.Clear();
  ASSERT_TRUE(Call(&Stub::BatchRecommend, request, &response).ok());
  ASSERT_EQ(response.responses_size(), 1);
  const std::vector<std::string> group = IdsOf(response.responses(0).items());
  EXPECT_EQ(group.size(), 8U);
  EXPECT_THAT(group, testing::Not(testing::Contains("i0")));
  EXPECT_THAT(group, testing::Not(testing::Contains("i2")));
  request.mutable_requests(0)->set_max_per_category(1);
  response.Clear();
  ASSERT_TRUE(Call(&Stub::BatchRecommend, request, &response).ok());
  EXPECT_EQ(response.responses(0).items_size(), 2);
  request.mutable_requests(1)->set_limit(3);
  EXPECT_THAT(Refusal(&Stub::BatchRecommend, request), StartsWith(invalid_ + "requests[1].user_id"));
  request.set_as_group(false);
  request.mutable_requests(1)->set_limit(-3);
  EXPECT_THAT(Refusal(&Stub::BatchRecommend, request), StartsWith(invalid_ + "requests[1].limit"));
  EXPECT_THAT(Refusal(&Stub::BatchRecommend, {}), StartsWith(invalid_ + "requests"));
  for (int i = 0; i < 100; ++i) {
    request.add_requests()->set_user_id("ann");
  }
  EXPECT_THAT(Refusal(&Stub::BatchRecommend, request), StartsWith(invalid_ + "requests has more than 100"));
}

}  // namespace
}  // namespace tributary::serving
