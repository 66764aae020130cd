#include "serving_layer/cli/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/event_log/topics.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/snapshot.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/common/snapshot/shop.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// Remembers the last request of each kind and answers what a test put in.
struct FakeServer {
  std::string address;
  absl::Status status;
  v1::RecommendRequest recommend_request;
  v1::RecommendResponse recommend;
  v1::SimilarItemsRequest similar_request;
  v1::PopularRequest popular_request;
  v1::PublishRequest publish_request;
  v1::PublishResponse publish;
  v1::TotalsRequest totals_request;
  v1::TrendingRequest trending_request;
  v1::TrendingResponse trending;
  v1::LatestRequest latest_request;
  v1::LatestResponse latest;
  v1::ScoreRequest score_request;
  v1::ScoreResponse score;
  v1::RecentlyViewedRequest recently_viewed_request;
  v1::RecentlyViewedResponse recently_viewed;
  v1::GetProfileRequest get_profile_request;
  v1::GetProfileResponse get_profile;
  v1::BecauseRequest because_request;
  v1::BecauseResponse because;
  v1::WhyNotRequest why_not_request;
  v1::WhyNotResponse why_not;
  v1::ForgetUserRequest forget_user_request;
  v1::ForgetUserResponse forget_user;
  v1::GetForgetReportRequest get_forget_report_request;
  v1::GetForgetReportResponse get_forget_report;
  v1::DrainRequest drain_request;
  v1::DrainResponse drain;
  v1::WatchRequest watch_request;
  std::vector<v1::RecommendResponse> lists;
  std::vector<v1::Item> items;
  v1::PutRuleRequest rule_request;
  v1::ListRulesResponse rules;
  std::string deleted_rule;
  absl::Duration health_timeout;
  std::map<std::string, std::string> titles;
  absl::Status get_item_status;
  std::vector<std::string> asked_items;
};

class FakeClient final : public ServingClient {
 public:
  explicit FakeClient(FakeServer& server) : server_(server) {}
  absl::StatusOr<v1::RecommendResponse> Recommend(const v1::RecommendRequest& request) override {
    server_.recommend_request = request;
    return Answer(server_.recommend);
  }
  absl::StatusOr<v1::SimilarItemsResponse> SimilarItems(const v1::SimilarItemsRequest& request) override {
    server_.similar_request = request;
    return Answer(v1::SimilarItemsResponse());
  }
  absl::StatusOr<v1::PopularResponse> Popular(const v1::PopularRequest& request) override {
    server_.popular_request = request;
    return Answer(v1::PopularResponse());
  }
  absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request) override {
    server_.publish_request = request;
    return Answer(server_.publish);
  }
  absl::StatusOr<v1::TotalsResponse> Totals(const v1::TotalsRequest& request) override {
    server_.totals_request = request;
    return Answer(v1::TotalsResponse());
  }
  absl::StatusOr<v1::PutItemResponse> PutItem(const v1::PutItemRequest& request) override {
    server_.items.push_back(request.item());
    return Answer(v1::PutItemResponse());
  }
  absl::StatusOr<v1::GetItemResponse> GetItem(const v1::GetItemRequest& request) override {
    server_.asked_items.push_back(request.item_id());
    if (!server_.get_item_status.ok()) {
      return server_.get_item_status;
    }
    const auto title = server_.titles.find(request.item_id());
    if (title == server_.titles.end()) {
      return absl::NotFoundError("no such item");
    }
    v1::GetItemResponse response;
    response.mutable_item()->set_title(title->second);
    return response;
  }
  absl::StatusOr<v1::PutRuleResponse> PutRule(const v1::PutRuleRequest& request) override {
    server_.rule_request = request;
    return Answer(v1::PutRuleResponse());
  }
  absl::StatusOr<v1::ListRulesResponse> ListRules(const v1::ListRulesRequest&) override { return Answer(server_.rules); }
  absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(const v1::DeleteRuleRequest& request) override {
    server_.deleted_rule = request.rule_id();
    return Answer(v1::DeleteRuleResponse());
  }
  absl::StatusOr<v1::TrendingResponse> Trending(const v1::TrendingRequest& request) override {
    server_.trending_request = request;
    return Answer(server_.trending);
  }
  absl::StatusOr<v1::LatestResponse> Latest(const v1::LatestRequest& request) override {
    server_.latest_request = request;
    return Answer(server_.latest);
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request) override {
    server_.score_request = request;
    return Answer(server_.score);
  }
  absl::StatusOr<v1::RecentlyViewedResponse> RecentlyViewed(const v1::RecentlyViewedRequest& request) override {
    server_.recently_viewed_request = request;
    return Answer(server_.recently_viewed);
  }
  absl::StatusOr<v1::GetProfileResponse> GetProfile(const v1::GetProfileRequest& request) override {
    server_.get_profile_request = request;
    return Answer(server_.get_profile);
  }
  absl::StatusOr<v1::BecauseResponse> Because(const v1::BecauseRequest& request) override {
    server_.because_request = request;
    return Answer(server_.because);
  }
  absl::StatusOr<v1::WhyNotResponse> WhyNot(const v1::WhyNotRequest& request) override {
    server_.why_not_request = request;
    return Answer(server_.why_not);
  }
  absl::StatusOr<v1::ForgetUserResponse> ForgetUser(const v1::ForgetUserRequest& request) override {
    server_.forget_user_request = request;
    return Answer(server_.forget_user);
  }
  absl::StatusOr<v1::GetForgetReportResponse> GetForgetReport(const v1::GetForgetReportRequest& request) override {
    server_.get_forget_report_request = request;
    return Answer(server_.get_forget_report);
  }
  absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request) override {
    server_.drain_request = request;
    return Answer(server_.drain);
  }
  absl::Status Watch(const v1::WatchRequest& request,
                     const std::function<bool(const v1::RecommendResponse&)>& on_list) override {
    server_.watch_request = request;
    for (const v1::RecommendResponse& list : server_.lists) {
      if (!on_list(list)) {
        return absl::OkStatus();
      }
    }
    return server_.status;
  }
  absl::Status AwaitServing(absl::Duration timeout) override {
    server_.health_timeout = timeout;
    return server_.status;
  }

 private:
  template <typename Response>
  absl::StatusOr<Response> Answer(const Response& response) {
    if (!server_.status.ok()) {
      return server_.status;
    }
    return response;
  }
  FakeServer& server_;
};

// The tests' EventLog outlives a command.
class SharedLog final : public EventLog {
 public:
  explicit SharedLog(EventLog& log) : log_(log) {}
  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(Isolation isolation) override { return log_.OpenReader(isolation); }
  absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const GroupReaderOptions& options) override {
    return log_.JoinGroup(options);
  }
  absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer() override { return log_.OpenProducer(); }
  absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(const std::string& id) override {
    return log_.OpenTransactionalProducer(id);
  }
  absl::Status CreateTopics(absl::Span<const TopicOptions> topics) override { return log_.CreateTopics(topics); }
  absl::StatusOr<int> PartitionCount(const std::string& topic) override { return log_.PartitionCount(topic); }
  absl::StatusOr<OffsetRange> Offsets(const TopicPartition& partition, Isolation isolation) override {
    return log_.Offsets(partition, isolation);
  }
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TopicConfig(const std::string& topic) override {
    return log_.TopicConfig(topic);
  }

 private:
  EventLog& log_;
};

class CommandLineTest : public ::testing::Test {
 protected:
  int Run(std::vector<std::string> arguments) {
    out.str("");
    err.str("");
    const Environment environment{.out = out,
                                  .err = err,
                                  .clock = clock,
                                  .sleep_until = [this](absl::Time time) { clock.Set(time); },
                                  .connect =
                                      [this](const std::string& address) {
                                        server.address = address;
                                        return std::make_unique<FakeClient>(server);
                                      },
                                  .open_log = [this](const v1::KafkaConfig&) -> absl::StatusOr<std::unique_ptr<EventLog>> {
                                    if (!log_status.ok()) {
                                      return log_status;
                                    }
                                    return std::make_unique<SharedLog>(log);
                                  }};
    return RunCommandLine(arguments, environment);
  }

  FakeClock clock;
  FakeEventLog log{clock};
  absl::Status log_status;
  FakeServer server;
  const TempDir dir;
  std::ostringstream out;
  std::ostringstream err;
};

TEST_F(CommandLineTest, WrongUsageAnswersTwo) {
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"nonsense"}), kExitUsage);
  EXPECT_EQ(Run({"similar"}), kExitUsage);
  EXPECT_EQ(Run({"recommend", "u", "--limit", "many"}), kExitUsage);
  EXPECT_EQ(Run({"recommend", "u", "--config", dir.Join("missing.textproto")}), kExitUsage);
  EXPECT_THAT(err.str(), AllOf(StartsWith("tributary: "), HasSubstr("missing.textproto")));
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("Exit codes"));
}

TEST_F(CommandLineTest, ErrorsAreOneLineAndTheirKindTheExitCode) {
  server.status = absl::InvalidArgumentError("limit refused: field=limit");
  EXPECT_EQ(Run({"recommend", "u"}), kExitRefused);
  EXPECT_EQ(err.str(), "tributary: limit refused: field=limit\n");
  server.status = absl::UnavailableError("no\nanswer");
  EXPECT_EQ(Run({"recommend", "u"}), kExitUnavailable);
  EXPECT_EQ(err.str(), "tributary: no answer\n");
  server.status = absl::UnimplementedError("not yet");
  EXPECT_EQ(Run({"recommend", "u"}), kExitFailed);
  EXPECT_THAT(out.str(), IsEmpty());
}

TEST_F(CommandLineTest, ServerComesFromTheFlagElseTheConfiguration) {
  Run({"popular", "--server", "far:1"});
  EXPECT_EQ(server.address, "far:1");
  Run({"--set", "serving { listen_address: \"near:2\" }", "popular"});
  EXPECT_EQ(server.address, "near:2");
}

TEST_F(CommandLineTest, ListsOfTheServerAreAskedForAndPrinted) {
  server.trending.add_items()->set_item_id("i1");
  EXPECT_EQ(Run({"trending", "--category", "mug", "--minutes", "90", "--limit", "3", "--not-item", "x"}), kExitOk);
  EXPECT_EQ(server.trending_request.category(), "mug");
  EXPECT_EQ(server.trending_request.window().seconds(), 5400);
  EXPECT_EQ(server.trending_request.limit(), 3);
  EXPECT_THAT(server.trending_request.filter().exclude_items(), ElementsAre("x"));
  EXPECT_THAT(out.str(), HasSubstr("i1"));
  EXPECT_EQ(Run({"trending", "--minutes", "1441"}), kExitUsage);
  server.latest.add_items()->set_item_id("i2");
  EXPECT_EQ(Run({"latest", "--category", "mug"}), kExitOk);
  EXPECT_EQ(server.latest_request.category(), "mug");
  EXPECT_THAT(out.str(), HasSubstr("i2"));
  server.score.add_items()->set_item_id("i3");
  EXPECT_EQ(Run({"score", "ann", "i3", "i4"}), kExitOk);
  EXPECT_EQ(server.score_request.user_id(), "ann");
  EXPECT_THAT(server.score_request.item_ids(), ElementsAre("i3", "i4"));
  EXPECT_EQ(Run({"score", "ann"}), kExitUsage);
  EXPECT_EQ(Run({"--json", "score", "ann", "i3"}), kExitOk);
  EXPECT_THAT(out.str(), StartsWith("{\"items\":[{\"itemId\":\"i3\"}]"));
}

TEST_F(CommandLineTest, WhatIsKnownOfAUserIsATable) {
  const auto event = [](v1::EventType type, v1::EventReference* reference) {
    reference->set_type(type);
    reference->mutable_position()->set_offset(7);
    reference->mutable_age()->set_seconds(120);
  };
  server.titles["i1"] = "A mug";
  server.recently_viewed.add_items()->set_item_id("i1");
  event(v1::VIEW, server.recently_viewed.add_events());
  EXPECT_EQ(Run({"recent", "ann", "--limit", "4"}), kExitOk);
  EXPECT_EQ(server.recently_viewed_request.limit(), 4);
  EXPECT_THAT(out.str(), StartsWith("ITEM  TITLE  EVENT\ni1    A mug  VIEW 2m ago at 0:7\n"));
  auto* item = server.get_profile.add_items();
  item->set_item_id("i1");
  event(v1::VIEW, item->add_decisions());
  event(v1::LIKE, item->add_decisions());
  server.get_profile.set_segment("gold");
  EXPECT_EQ(Run({"profile", "ann"}), kExitOk);
  EXPECT_EQ(server.get_profile_request.user_id(), "ann");
  EXPECT_THAT(out.str(), StartsWith("ITEM  EVENTS\ni1    VIEW 2m ago at 0:7, LIKE 2m ago at 0:7\nsegment gold\n"));
}

TEST_F(CommandLineTest, BecauseAndWhyNotExplainTheListThatTheFlagsAskFor) {
  server.because.set_rank(3);
  server.because.mutable_item()->set_score(0.5);
  v1::Reason* reason = server.because.mutable_item()->add_reasons();
  reason->set_source(v1::PERSONAL);
  reason->set_part(0.5);
  EXPECT_EQ(Run({"because", "ann", "i1", "--limit", "5"}), kExitOk);
  EXPECT_EQ(server.because_request.item_id(), "i1");
  EXPECT_EQ(server.because_request.request().limit(), 5);
  EXPECT_THAT(out.str(), StartsWith("SHOWN: at place 3\nscore 0.5000: PERSONAL 0.5\n"));
  server.why_not.set_cause(v1::WhyNotResponse::SUPPRESSED);
  server.why_not.set_detail("bought");
  server.why_not.mutable_event()->set_type(v1::PURCHASE);
  EXPECT_EQ(Run({"why-not", "ann", "i2", "--exclude-seen", "--in-category", "mug"}), kExitOk);
  EXPECT_EQ(server.why_not_request.user_id(), "ann");
  EXPECT_TRUE(server.why_not_request.request().exclude_seen());
  EXPECT_THAT(server.why_not_request.request().filter().include_categories(), ElementsAre("mug"));
  EXPECT_THAT(out.str(), StartsWith("SUPPRESSED: bought (PURCHASE 0ms ago at 0:0)\n"));
  server.status = absl::NotFoundError("not in the answer");
  EXPECT_EQ(Run({"because", "ann", "i1"}), kExitRefused);
}

TEST_F(CommandLineTest, WatchPrintsEveryListUntilItHasEnoughOrTheStreamEnds) {
  server.lists.resize(3);
  for (v1::RecommendResponse& list : server.lists) {
    list.add_items()->set_item_id("i1");
  }
  EXPECT_EQ(Run({"--json", "watch", "ann", "--lists", "2"}), kExitOk);
  EXPECT_EQ(server.watch_request.request().user_id(), "ann");
  EXPECT_EQ(out.str(), "{\"items\":[{\"itemId\":\"i1\"}]}\n{\"items\":[{\"itemId\":\"i1\"}]}\n");
  server.status = absl::UnavailableError("the server is stopping");
  EXPECT_EQ(Run({"watch", "ann"}), kExitUnavailable);
}

TEST_F(CommandLineTest, ForgetPrintsTheReportsIdAndAsksForIt) {
  server.forget_user.set_report_id("2:17:1700");
  server.forget_user.mutable_token()->mutable_position()->set_offset(17);
  EXPECT_EQ(Run({"forget", "ann"}), kExitOk);
  EXPECT_EQ(server.forget_user_request.user_id(), "ann");
  EXPECT_THAT(out.str(), AllOf(HasSubstr("at 0:17\n"), HasSubstr("forget --report 2:17:1700\n")));
  auto* place = server.get_forget_report.add_places();
  place->set_name("snapshot 4");
  place->set_when("it is retired");
  EXPECT_EQ(Run({"forget", "--report", "2:17:1700"}), kExitOk);
  EXPECT_EQ(server.get_forget_report_request.report_id(), "2:17:1700");
  EXPECT_EQ(out.str(), "MAY HOLD IT  UNTIL  WHEN\nsnapshot 4   -      it is retired\n");
  EXPECT_EQ(Run({"forget", "ann", "--report", "2:17:1700"}), kExitUsage);
}

TEST_F(CommandLineTest, DrainAndResume) {
  server.drain.set_requests_under_way(2);
  EXPECT_EQ(Run({"drain"}), kExitOk);
  EXPECT_EQ(out.str(), "draining: requests under way 2\n");
  EXPECT_EQ(Run({"drain", "--resume"}), kExitOk);
  EXPECT_TRUE(server.drain_request.resume());
}

TEST_F(CommandLineTest, RecommendPassesEveryFlagOn) {
  EXPECT_EQ(Run({"recommend", "u", "--limit", "5", "--in-category", "mug,cup", "--not-item", "x", "--min-price", "1.5",
                 "--exclude-seen", "--max-per-category", "2", "--basket", "b1,b2", "--current-item", "c", "--page-token",
                 "p", "--after-token", "1:42", "--max-wait", "0.25"}),
            kExitOk);
  const v1::RecommendRequest& request = server.recommend_request;
  EXPECT_EQ(request.user_id(), "u");
  EXPECT_EQ(request.limit(), 5);
  EXPECT_THAT(request.filter().include_categories(), ElementsAre("mug", "cup"));
  EXPECT_THAT(request.filter().exclude_items(), ElementsAre("x"));
  EXPECT_EQ(request.filter().min_price(), 1.5);
  EXPECT_FALSE(request.filter().has_max_price());
  EXPECT_TRUE(request.exclude_seen());
  EXPECT_EQ(request.max_per_category(), 2);
  EXPECT_THAT(request.context().basket(), ElementsAre("b1", "b2"));
  EXPECT_EQ(request.context().current_item(), "c");
  EXPECT_EQ(request.page_token(), "p");
  EXPECT_EQ(request.min_freshness().position().partition(), 1);
  EXPECT_EQ(request.min_freshness().position().offset(), 42);
  EXPECT_EQ(request.max_wait().nanos(), 250'000'000);
}

TEST_F(CommandLineTest, RecommendPrintsItemsAndFreshnessOrJson) {
  server.recommend.add_items()->set_item_id("a");
  server.recommend.mutable_freshness()->set_generation(3);
  server.recommend.set_next_page_token("more");
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("RANK"), HasSubstr("snapshot 3\n"), HasSubstr("--page-token more")));
  EXPECT_EQ(Run({"recommend", "u", "--json"}), kExitOk);
  EXPECT_EQ(out.str(), "{\"items\":[{\"itemId\":\"a\"}],\"nextPageToken\":\"more\",\"freshness\":{\"generation\":\"3\"}}\n");
}

TEST_F(CommandLineTest, TablesShowTitlesWhereThereAreSomeAndJsonAsksForNone) {
  for (const std::string id : {"a", "b", "c"}) {
    server.recommend.add_items()->set_item_id(id);
  }
  server.titles = {{"a", "Green tea"}, {"c", "Toy robot"}};
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("TITLE"), HasSubstr("a     Green tea"), HasSubstr("c     Toy robot")));
  server.asked_items.clear();
  EXPECT_EQ(Run({"recommend", "u", "--json"}), kExitOk);
  EXPECT_THAT(server.asked_items, IsEmpty());
  // A server that stops answering costs the titles, not the answer, and is asked once.
  server.get_item_status = absl::UnavailableError("away");
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(server.asked_items, ElementsAre("a"));
  EXPECT_THAT(out.str(), HasSubstr("3     c"));
}

TEST_F(CommandLineTest, ABadTokenIsRefusedAndAnUnreachedOneAnswersFive) {
  for (const std::string token : {"7", "x:1", "1:", "1:-2"}) {
    EXPECT_EQ(Run({"recommend", "u", "--after-token", token}), kExitRefused) << token;
    EXPECT_THAT(err.str(), HasSubstr("field=after-token"));
  }
  server.recommend.mutable_freshness()->add_degraded(v1::FRESHNESS_NOT_REACHED);
  EXPECT_EQ(Run({"recommend", "u", "--after-token", "1:2"}), kExitNotVisible);
}

TEST_F(CommandLineTest, SimilarPopularAndTotalsAsk) {
  EXPECT_EQ(Run({"similar", "a", "b", "--user", "u"}), kExitOk);
  EXPECT_THAT(server.similar_request.item_ids(), ElementsAre("a", "b"));
  EXPECT_EQ(server.similar_request.user_id(), "u");
  EXPECT_EQ(Run({"popular", "--category", "mug", "--limit", "3"}), kExitOk);
  EXPECT_EQ(server.popular_request.category(), "mug");
  EXPECT_EQ(server.popular_request.limit(), 3);
  EXPECT_EQ(Run({"totals", "by_item", "a", "b"}), kExitOk);
  EXPECT_EQ(server.totals_request.measure(), v1::BY_ITEM);
  EXPECT_THAT(server.totals_request.keys(), ElementsAre("a", "b"));
  EXPECT_EQ(Run({"totals", "by_moon"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=measure"));
}

TEST_F(CommandLineTest, HealthAsksOnceOrWaits) {
  EXPECT_EQ(Run({"health"}), kExitOk);
  EXPECT_EQ(out.str(), "serving\n");
  EXPECT_EQ(server.health_timeout, absl::ZeroDuration());
  EXPECT_EQ(Run({"health", "--wait", "1.5", "--json"}), kExitOk);
  EXPECT_EQ(out.str(), "{\"status\":\"SERVING\"}\n");
  EXPECT_EQ(server.health_timeout, absl::Milliseconds(1500));
  server.status = absl::UnavailableError("not serving: server=near:1");
  EXPECT_EQ(Run({"health"}), kExitUnavailable);
  EXPECT_EQ(err.str(), "tributary: not serving: server=near:1\n");
}

TEST_F(CommandLineTest, PublishTakesAFlagAFieldOrJson) {
  server.publish.mutable_position()->set_partition(1);
  server.publish.mutable_position()->set_offset(42);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "add-to-cart", "--item", "a", "--value", "2.5", "--attribute",
                 "store=x=y", "--time", "2026-01-31T12:00:00Z", "--event-id", "e"}),
            kExitOk);
  EXPECT_EQ(out.str(), "published at 1:42\n");
  const v1::Event event = server.publish_request.event();
  EXPECT_EQ(event.type(), v1::ADD_TO_CART);
  EXPECT_EQ(event.value(), 2.5);
  EXPECT_FALSE(event.has_quantity());
  EXPECT_EQ(event.attributes().at("store"), "x=y");
  EXPECT_EQ(event.event_time().seconds(), 1769860800);
  EXPECT_EQ(Run({"publish", "--event-json", R"({"userId":"v","type":"VIEW"})"}), kExitOk);
  EXPECT_EQ(server.publish_request.event().user_id(), "v");
}

TEST_F(CommandLineTest, PublishNamesTheFieldThatIsWrong) {
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "peek"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=type"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--time", "yesterday"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=time"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--attribute", "novalue"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=attribute"));
  EXPECT_EQ(Run({"publish", "--event-json", R"({"usr":"v"})"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("usr"));
  EXPECT_EQ(Run({"publish", "--event-json", "{}", "--user", "u"}), kExitRefused);
}

TEST_F(CommandLineTest, PublishWaitsUntilAnAnswerRestsOnTheEvent) {
  server.publish.mutable_token()->mutable_position()->set_offset(42);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait"}), kExitOk);
  EXPECT_EQ(server.recommend_request.min_freshness().position().offset(), 42);
  EXPECT_THAT(out.str(), HasSubstr("visible after 0.0 ms\n"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait", "--json"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("\"visibleMs\":0.000}\n"));
  server.recommend.mutable_freshness()->add_degraded(v1::FRESHNESS_NOT_REACHED);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait"}), kExitNotVisible);
  EXPECT_THAT(err.str(), HasSubstr("not visible within 10 s"));
}

TEST_F(CommandLineTest, ItemsAreReadAsJsonLines) {
  const std::string path = dir.Write("items.jsonl", "{\"itemId\":\"a\"}\n\n{\"itemId\":\"b\",\"stock\":\"3\"}\n");
  EXPECT_EQ(Run({"items", "put", "--file", path}), kExitOk);
  EXPECT_EQ(out.str(), "2 items put\n");
  ASSERT_EQ(server.items.size(), 2u);
  EXPECT_EQ(server.items[1].stock(), 3);
  EXPECT_EQ(Run({"items", "put", "--file", dir.Write("bad.jsonl", "{\"itemId\":\"a\"}\n{\"itemid2\":\"b\"}\n")}),
            kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr("itemid2"), HasSubstr("line=2")));
  EXPECT_EQ(Run({"items", "put", "--file", dir.Join("none")}), kExitRefused);
}

TEST_F(CommandLineTest, RulesArePutListedAndDeleted) {
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "boost", "--category", "mug", "--strength", "0.5", "--end",
                 "2026-01-31T12:00:00Z"}),
            kExitOk);
  EXPECT_EQ(server.rule_request.rule().action(), v1::BOOST);
  EXPECT_EQ(server.rule_request.rule().category(), "mug");
  EXPECT_EQ(server.rule_request.rule().end().seconds(), 1769860800);
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "shout"}), kExitRefused);
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "hide", "--item", "a", "--label", "b"}), kExitUsage);
  server.rules.add_rules()->set_rule_id("r1");
  EXPECT_EQ(Run({"rules", "list"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("r1"));
  EXPECT_EQ(Run({"rules", "delete", "r1"}), kExitOk);
  EXPECT_EQ(server.deleted_rule, "r1");
}

TEST_F(CommandLineTest, TopicsAreCreatedAndReplayFillsThem) {
  EXPECT_EQ(Run({"topics", "create", "--set", "kafka { partitions: 2 topic_prefix: \"t.\" }"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("t.events"));
  EXPECT_EQ(log.PartitionCount("t.events").value(), 2);
  const std::string path = dir.Write("events.jsonl",
                                     "{\"userId\":\"u\",\"type\":\"VIEW\",\"itemId\":\"a\",\"eventTime\":\"2020-01-01T00:00:00Z\"}\n");
  EXPECT_EQ(Run({"replay", path, "--speed", "100", "--shift-to-now", "--set", "kafka { topic_prefix: \"t.\" }"}), kExitOk)
      << err.str();
  EXPECT_THAT(out.str(), HasSubstr("1 events sent"));
  EXPECT_EQ(log.Records({"t.events", PartitionOfKey("u", 2)}, Isolation::kCommitted).size(), 1u);
  log_status = absl::UnavailableError("no broker: brokers=127.0.0.1:9092");
  EXPECT_EQ(Run({"topics", "create"}), kExitUnavailable);
}

TEST_F(CommandLineTest, ReplayTellsItsProgressOnceASecond) {
  ASSERT_EQ(Run({"topics", "create"}), kExitOk);
  std::string lines;
  for (int i = 0; i <= 10; ++i) {
    absl::StrAppend(&lines, R"({"userId":"u","type":"VIEW","itemId":"a","eventTime":"2020-01-01T00:00:0)", i * 3 / 10, ".",
                    i * 3 % 10, "00Z\"}\n");
  }
  const std::string path = dir.Write("events.jsonl", lines);
  EXPECT_EQ(Run({"replay", path, "--speed", "1"}), kExitOk);
  // Events every 0.3 s for 3 s: told at 1.2 s and 2.4 s.
  EXPECT_EQ(err.str(), "replay: 5 of 11 events sent\nreplay: 9 of 11 events sent\n");
  EXPECT_EQ(Run({"replay", path, "--speed", "0"}), kExitOk);
  EXPECT_EQ(err.str(), "");
}

TEST_F(CommandLineTest, DeadLettersAreListedLatestFirst) {
  ASSERT_EQ(Run({"topics", "create"}), kExitOk);
  EXPECT_EQ(Run({"dead-letters", "list"}), kExitOk);
  EXPECT_EQ(out.str(), "no dead letters\n");
  const auto producer = log.OpenProducer().value();
  for (int i = 0; i < 5; ++i) {
    v1::DeadLetter letter;
    letter.set_reason(absl::StrCat("reason ", i));
    letter.set_record_time_unix_ms(1000 * i);
    ASSERT_TRUE(producer->Produce({.topic = "dead-letters", .key = "u", .value = letter.SerializeAsString()},
                                  absl::Seconds(1)).ok());
  }
  EXPECT_EQ(Run({"dead-letters", "list", "--limit", "2"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("reason 4"), HasSubstr("reason 3"), Not(HasSubstr("reason 2"))));
}

class DeadLettersTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Run({"topics", "create"}), kExitOk); }
  // Puts a refused record there; where it lies, as `list` prints it.
  std::string Refuse(const std::string& value, v1::RejectCause cause = v1::MALFORMED) {
    v1::DeadLetter letter;
    letter.set_source_topic("events");
    letter.mutable_source()->set_offset(7);
    letter.set_cause(cause);
    letter.set_reason("why");
    letter.set_original_key("u");
    letter.set_original_value(value);
    const auto at = log.OpenProducer().value()->Produce(
        {.topic = "dead-letters", .key = "u", .value = letter.SerializeAsString()}, absl::Seconds(1));
    return absl::StrCat(Value(at.value().partition), ":", Value(at.value().offset));
  }
  std::vector<v1::Event> Sent() {
    std::vector<v1::Event> events;
    const int partitions = log.PartitionCount("events").value();
    for (int partition = 0; partition < partitions; ++partition) {
      for (const LogRecord& record : log.Records({"events", PartitionId{partition}}, Isolation::kCommitted)) {
        EXPECT_EQ(PartitionOfKey(record.key, partitions), PartitionId{partition});
        EXPECT_TRUE(events.emplace_back().ParseFromString(*record.value));
        EXPECT_EQ(events.back().user_id(), record.key);
      }
    }
    return events;
  }
  std::string Json(absl::Time time) {
    return absl::StrCat(R"({"userId":"u","type":"VIEW","itemId":"a","eventTime":")",
                        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()), "\"}");
  }
};

TEST_F(DeadLettersTest, OneIsShownAsTheEventThatItCanBeReadAs) {
  const std::string at = Refuse(R"({"userId":"u","type":"VIEW"})", v1::MISSING_FIELD);
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("source  events 0:7\ncause   MISSING_FIELD\nreason  why\nkey     u\n"),
                               HasSubstr("event   {\"userId\":\"u\",\"type\":\"VIEW\"}\n")));
}

TEST_F(DeadLettersTest, BytesThatAreNoEventAreShownWithEscapesOrAsTheyAre) {
  const std::string at = Refuse("\x1b[2J\xff");
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("bytes   \\x1b[2J\\xff\n"));
  EXPECT_EQ(Run({"dead-letters", "show", at, "--original"}), kExitOk);
  EXPECT_EQ(out.str(), "\x1b[2J\xff");
}

TEST_F(DeadLettersTest, AnEventWithATimeThatHasNoJsonIsShownByItsBytes) {
  v1::Event event;
  event.set_user_id("u");
  event.mutable_event_time()->set_seconds(std::numeric_limits<int64_t>::max());
  const std::string at = Refuse(event.SerializeAsString(), v1::TIME_IN_FUTURE);
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("bytes   "));
}

TEST_F(DeadLettersTest, APositionWithoutADeadLetterIsRefusedByName) {
  Refuse("x");
  for (const std::string at : {"0:99", "99:0", "0", "0:x", "-1:0"}) {
    EXPECT_EQ(Run({"dead-letters", "redrive", "--", at}), kExitRefused) << at;
    EXPECT_THAT(err.str(), AnyOf(HasSubstr(absl::StrCat("at=", at)), HasSubstr("field=at"))) << at;
  }
}

TEST_F(DeadLettersTest, WhatWouldNotBeRefusedNowIsSentAgainAndCountsOnceHoweverOften) {
  const std::string at = Refuse(Json(clock.Now()), v1::TIME_IN_FUTURE);
  EXPECT_EQ(Run({"dead-letters", "redrive", at}), kExitOk);
  EXPECT_THAT(out.str(), StartsWith(absl::StrCat(at, " sent again: events ")));
  EXPECT_EQ(Run({"dead-letters", "redrive", at}), kExitOk);
  const std::vector<v1::Event> sent = Sent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].item_id(), "a");
  EXPECT_EQ(sent[0].event_id(), absl::StrCat("redrive-", at));
  EXPECT_EQ(sent[1].event_id(), sent[0].event_id());
}

TEST_F(DeadLettersTest, WhenOneWouldBeRefusedAgainNoneIsSent) {
  const std::string good = Refuse(Json(clock.Now()));
  const std::string future = Refuse(Json(clock.Now() + absl::Hours(48)));
  const std::string garbage = Refuse("garbage");
  EXPECT_EQ(Run({"dead-letters", "redrive", good, future}), kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr(absl::StrCat("at=", future)), HasSubstr("field=event_time")));
  EXPECT_EQ(Run({"dead-letters", "redrive", good, garbage}), kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr(absl::StrCat("at=", garbage)), HasSubstr("--event-json")));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(DeadLettersTest, AMendedEventIsSentInItsPlace) {
  const std::string at = Refuse("garbage");
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-json", Json(clock.Now())}), kExitOk);
  const std::string path = dir.Write("mended.json", Json(clock.Now()));
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-file", path}), kExitOk);
  EXPECT_EQ(Sent().size(), 2u);
  EXPECT_EQ(Run({"dead-letters", "redrive", at, at, "--event-json", "{}"}), kExitRefused);
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-json", R"({"userid":"u"})"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("userid"));
}

class SnapshotsCommandTest : public CommandLineTest {
 protected:
  int RunOn(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--set", absl::StrCat("storage { snapshots_dir: \"", dir.path(), "\" }")});
    return Run(arguments);
  }
  void Write(int64_t generation) {
    auto writer = SnapshotWriter::Create(dir.path(), Generation{generation});
    ASSERT_TRUE(writer.ok()) << writer.status();
    v1::Item item;
    item.set_item_id("a");
    ASSERT_TRUE((*writer)->WriteItems({item}).ok());
    ASSERT_TRUE((*writer)->WriteNeighbours(std::vector<std::vector<ScoredItem>>(1)).ok());
    const auto manifest = (*writer)->Finish(v1::SnapshotManifest());
    ASSERT_TRUE(manifest.ok()) << manifest.status();
  }
};

TEST_F(SnapshotsCommandTest, ListActivateAndRollback) {
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk) << err.str();
  EXPECT_EQ(out.str(), "no snapshots\n");
  Write(1);
  Write(2);
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitRefused);
  EXPECT_EQ(RunOn({"snapshots", "activate", "2"}), kExitOk) << err.str();
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("2*"));
  EXPECT_EQ(RunOn({"snapshots", "list", "--json"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("\"generation\":\"2\""), HasSubstr("\"serving\":true"), Not(HasSubstr("\"files\""))));
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitOk);
  EXPECT_EQ(out.str(), "snapshot 1 is current\n");
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("current=1"));
  EXPECT_EQ(RunOn({"snapshots", "activate", "7"}), kExitRefused);
  EXPECT_EQ(RunOn({"snapshots", "activate", "0"}), kExitUsage);
}

TEST_F(SnapshotsCommandTest, RollbackPassesByWhatTheGateRefused) {
  for (int64_t generation = 1; generation <= 3; ++generation) Write(generation);
  v1::GateVerdict verdict;
  verdict.set_generation(2);
  verdict.set_outcome(v1::GateVerdict::REFUSED);
  ASSERT_TRUE(WriteGateVerdict(dir.path(), verdict).ok());
  ASSERT_EQ(RunOn({"snapshots", "activate", "3"}), kExitOk);
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitOk) << err.str();
  EXPECT_EQ(out.str(), "snapshot 1 is current\n");
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("refused"));
  EXPECT_EQ(RunOn({"snapshots", "list", "--json"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("\"outcome\":\"REFUSED\""));
}

TEST_F(SnapshotsCommandTest, VerifyFindsADamagedFile) {
  Write(1);
  ASSERT_EQ(RunOn({"snapshots", "activate", "1"}), kExitOk);
  EXPECT_EQ(RunOn({"snapshots", "verify"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("snapshot 1 is whole"));
  const std::string path = dir.Join("1/items.bin");
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  EXPECT_EQ(RunOn({"snapshots", "verify", "1"}), kExitFailed);
  EXPECT_THAT(err.str(), HasSubstr("items.bin"));
}

TEST_F(SnapshotsCommandTest, DiffShowsCountsMetricsWAndChurn) {
  v1::SnapshotManifest manifest;
  auto* watermark = manifest.add_watermarks();
  watermark->set_partition(1);
  watermark->set_watermark(10);
  auto* metric = manifest.add_metrics();
  metric->set_name("ndcg_at_20");
  metric->set_value(0.25);
  ASSERT_TRUE(sample::WriteShop(dir.path(), Generation{1}, {.items = 40}, manifest).ok());
  watermark->set_watermark(70);
  metric->set_value(0.2);
  manifest.add_watermarks()->set_partition(2);
  manifest.mutable_watermarks(1)->set_watermark(5);
  manifest.set_config_digest("other");
  ASSERT_TRUE(sample::WriteShop(dir.path(), Generation{2}, {.users = 330, .items = 40, .shift = 5}, manifest).ok());

  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "2"}), kExitOk) << err.str();
  EXPECT_THAT(
      out.str(),
      AllOf(ContainsRegex("users +300 +330 +.10.00 %\n"), ContainsRegex("ndcg_at_20 +0.2500 +0.2000 +-20.00 %\n"),
            ContainsRegex("W of partition 1 +10 +70 +.60\n"), ContainsRegex("W of partition 2 +0 +5 +.5\n"),
            HasSubstr("lists: 25.0 %; of the popular items: 25.0 %\n"),
            HasSubstr("other content, other batch configuration\n")));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "2", "--json"}), kExitOk) << err.str();
  v1::SnapshotDiff diff;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out.str(), &diff).ok()) << out.str();
  EXPECT_EQ(diff.watermarks_size(), 2);
  EXPECT_DOUBLE_EQ(diff.list_churn(), 0.25);
  EXPECT_FALSE(diff.same_content());

  EXPECT_EQ(RunOn({"snapshots", "diff", "2", "2"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("same content\n"));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "7"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("generation=7"));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1"}), kExitUsage);
}

}  // namespace
}  // namespace tributary::serving
