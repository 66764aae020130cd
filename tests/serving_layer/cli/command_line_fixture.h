#ifndef TRIBUTARY_TESTS_SERVING_LAYER_CLI_COMMAND_LINE_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVING_LAYER_CLI_COMMAND_LINE_FIXTURE_H_

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/event_log/event_log.h"
#include "gtest/gtest.h"
#include "serving_layer/cli/command_line.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::serving {

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
  v1::WindowsRequest windows_request;
  v1::StartCanaryRequest start_canary_request;
  v1::GetCanaryResponse canary;
  v1::ExperimentRatesRequest experiment_rates_request;
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
  absl::StatusOr<v1::WindowsResponse> Windows(const v1::WindowsRequest& request) override {
    server_.windows_request = request;
    return Answer(v1::WindowsResponse());
  }
  absl::StatusOr<v1::ExperimentRatesResponse> ExperimentRates(const v1::ExperimentRatesRequest& request) override {
    server_.experiment_rates_request = request;
    return Answer(v1::ExperimentRatesResponse());
  }
  absl::StatusOr<v1::StartCanaryResponse> StartCanary(const v1::StartCanaryRequest& request) override {
    server_.start_canary_request = request;
    v1::StartCanaryResponse response;
    response.mutable_canary()->set_generation(request.generation());
    response.mutable_canary()->set_percent(request.percent());
    return Answer(response);
  }
  absl::StatusOr<v1::GetCanaryResponse> GetCanary(const v1::GetCanaryRequest&) override { return Answer(server_.canary); }
  absl::StatusOr<v1::StopCanaryResponse> StopCanary(const v1::StopCanaryRequest&) override {
    v1::StopCanaryResponse response;
    if (server_.canary.has_canary()) {
      *response.mutable_stopped() = server_.canary.canary();
    }
    return Answer(response);
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

// Runs commands against a server that answers what a test put in, and a log in memory.
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

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_SERVING_LAYER_CLI_COMMAND_LINE_FIXTURE_H_
