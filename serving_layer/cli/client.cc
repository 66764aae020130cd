#include "serving_layer/cli/client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
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
        channel_(grpc::CreateChannel(server, grpc::InsecureChannelCredentials())),
        recommendations_(v1::RecommendationService::NewStub(channel_)),
        events_(v1::EventService::NewStub(channel_)),
        catalogue_(v1::CatalogueService::NewStub(channel_)),
        analytics_(v1::AnalyticsService::NewStub(channel_)) {}

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
  absl::StatusOr<v1::PutRuleResponse> PutRule(const v1::PutRuleRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::PutRule, request);
  }
  absl::StatusOr<v1::ListRulesResponse> ListRules(const v1::ListRulesRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::ListRules, request);
  }
  absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(const v1::DeleteRuleRequest& request) override {
    return Call(*catalogue_, &v1::CatalogueService::Stub::DeleteRule, request);
  }

 private:
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
  std::unique_ptr<v1::AnalyticsService::Stub> analytics_;
};

}  // namespace

std::unique_ptr<ServingClient> ConnectToServer(const std::string& server, absl::Duration timeout) {
  return std::make_unique<GrpcServingClient>(server, timeout);
}

}  // namespace tributary::serving
