#include "serving_layer/cli/client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tributary/v1/admin_service.grpc.pb.h"
#include "tributary/v1/analytics_service.grpc.pb.h"
#include "tributary/v1/catalogue_service.grpc.pb.h"
#include "tributary/v1/event_service.grpc.pb.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {
namespace {

class GrpcServingClient final : public ServingClient {
 public:
  GrpcServingClient(const std::string& server, absl::Duration timeout)
      : server_(server),
        timeout_(timeout),
        channel_(grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), ChannelArguments())),
        recommendations_(v1::RecommendationService::NewStub(channel_)),
        events_(v1::EventService::NewStub(channel_)),
        catalogue_(v1::CatalogueService::NewStub(channel_)),
        admin_(v1::AdminService::NewStub(channel_)),
        analytics_(v1::AnalyticsService::NewStub(channel_)),
        health_(grpc::health::v1::Health::NewStub(channel_)) {}

  absl::StatusOr<v1::RecommendResponse> Recommend(const v1::RecommendRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Recommend, request);
  }
  absl::StatusOr<v1::SimilarItemsResponse> SimilarItems(const v1::SimilarItemsRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::SimilarItems, request);
  }
  absl::StatusOr<v1::PopularResponse> Popular(const v1::PopularRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Popular, request);
  }
  absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request) override {
    return Call(*events_, &v1::EventService::Stub::Publish, request);
  }
  absl::StatusOr<v1::TotalsResponse> Totals(const v1::TotalsRequest& request) override {
    return Call(*analytics_, &v1::AnalyticsService::Stub::Totals, request);
  }
  absl::StatusOr<v1::PutItemResponse> PutItem(const v1::PutItemRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::PutItem, request);
  }
  absl::StatusOr<v1::GetItemResponse> GetItem(const v1::GetItemRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::GetItem, request);
  }
  absl::StatusOr<v1::PutRuleResponse> PutRule(const v1::PutRuleRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::PutRule, request);
  }
  absl::StatusOr<v1::ListRulesResponse> ListRules(const v1::ListRulesRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::ListRules, request);
  }
  absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(const v1::DeleteRuleRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::DeleteRule, request);
  }
  absl::StatusOr<v1::WindowsResponse> Windows(const v1::WindowsRequest& request) override {
    return Call(*analytics_, &v1::AnalyticsService::Stub::Windows, request);
  }
  absl::StatusOr<v1::ExperimentRatesResponse> ExperimentRates(const v1::ExperimentRatesRequest& request) override {
    return Call(*analytics_, &v1::AnalyticsService::Stub::ExperimentRates, request);
  }
  absl::StatusOr<v1::TrendingResponse> Trending(const v1::TrendingRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Trending, request);
  }
  absl::StatusOr<v1::LatestResponse> Latest(const v1::LatestRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Latest, request);
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Score, request);
  }
  absl::StatusOr<v1::RecentlyViewedResponse> RecentlyViewed(const v1::RecentlyViewedRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::RecentlyViewed, request);
  }
  absl::StatusOr<v1::GetProfileResponse> GetProfile(const v1::GetProfileRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::GetProfile, request);
  }
  absl::StatusOr<v1::BecauseResponse> Because(const v1::BecauseRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::Because, request);
  }
  absl::StatusOr<v1::WhyNotResponse> WhyNot(const v1::WhyNotRequest& request) override {
    return Call(*recommendations_, &v1::RecommendationService::Stub::WhyNot, request);
  }
  absl::StatusOr<v1::ForgetUserResponse> ForgetUser(const v1::ForgetUserRequest& request) override {
    return Call(*events_, &v1::EventService::Stub::ForgetUser, request);
  }
  absl::StatusOr<v1::GetForgetReportResponse> GetForgetReport(const v1::GetForgetReportRequest& request) override {
    return Call(*events_, &v1::EventService::Stub::GetForgetReport, request);
  }
  absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request) override {
    return Call(*admin_, &v1::AdminService::Stub::Drain, request);
  }
  absl::StatusOr<v1::StartCanaryResponse> StartCanary(const v1::StartCanaryRequest& request) override {
    return Call(*admin_, &v1::AdminService::Stub::StartCanary, request);
  }
  absl::StatusOr<v1::GetCanaryResponse> GetCanary(const v1::GetCanaryRequest& request) override {
    return Call(*admin_, &v1::AdminService::Stub::GetCanary, request);
  }
  absl::StatusOr<v1::StopCanaryResponse> StopCanary(const v1::StopCanaryRequest& request) override {
    return Call(*admin_, &v1::AdminService::Stub::StopCanary, request);
  }
  absl::Status Watch(const v1::WatchRequest& request,
                     const std::function<bool(const v1::RecommendResponse&)>& on_list) override {
    grpc::ClientContext context;
    const auto reader = recommendations_->Watch(&context, request);
    v1::WatchResponse response;
    while (reader->Read(&response)) {
      if (!on_list(response.response())) {
        context.TryCancel();
        (void)reader->Finish();
        return absl::OkStatus();
      }
    }
    return StatusOf(reader->Finish());
  }
  absl::Status AwaitServing(absl::Duration timeout) override {
    grpc::ClientContext context;
    const bool wait = timeout > absl::ZeroDuration();
    context.set_wait_for_ready(wait);
    context.set_deadline(absl::ToChronoTime(absl::Now() + (wait ? timeout : timeout_)));
    const auto watch = health_->Watch(&context, {});
    grpc::health::v1::HealthCheckResponse response;
    while (watch->Read(&response)) {
      if (response.status() == grpc::health::v1::HealthCheckResponse::SERVING) {
        context.TryCancel();
        return absl::OkStatus();
      }
      if (!wait) {
        context.TryCancel();
        return absl::UnavailableError(absl::StrCat("not serving: server=", server_, " status=",
                                                   grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())));
      }
    }
    return absl::UnavailableError(
        absl::StrCat("not serving: server=", server_, " error=", watch->Finish().error_message()));
  }

 private:
  // A server that is starting is found soon: by itself gRPC would wait a second and more between tries.
  static grpc::ChannelArguments ChannelArguments() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    return arguments;
  }

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) {
      return response;
    }
    return StatusOf(status);
  }

  absl::Status StatusOf(const grpc::Status& status) const {
    // The codes of gRPC and Abseil are the same numbers.
    const auto code = static_cast<absl::StatusCode>(status.error_code());
    if (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded) {
      return absl::Status(code, absl::StrCat(status.error_message(), ": server=", server_));
    }
    return absl::Status(code, status.error_message());
  }

  const std::string server_;
  const absl::Duration timeout_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RecommendationService::Stub> recommendations_;
  std::unique_ptr<v1::EventService::Stub> events_;
  std::unique_ptr<v1::CatalogueService::Stub> catalogue_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::AnalyticsService::Stub> analytics_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

}  // namespace

std::unique_ptr<ServingClient> ConnectToServer(const std::string& server, absl::Duration timeout) {
  return std::make_unique<GrpcServingClient>(server, timeout);
}

}  // namespace tributary::serving
