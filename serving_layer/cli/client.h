#ifndef TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_
#define TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tributary/v1/admin_service.pb.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/catalogue_service.pb.h"
#include "tributary/v1/event_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// A server's calls, one method each. Errors are the server's own; Unavailable names the address that did not answer.
// Thread-safe.
class ServingClient {
 public:
  virtual ~ServingClient() = default;
  virtual absl::StatusOr<v1::RecommendResponse> Recommend(const v1::RecommendRequest& request) = 0;
  virtual absl::StatusOr<v1::SimilarItemsResponse> SimilarItems(const v1::SimilarItemsRequest& request) = 0;
  virtual absl::StatusOr<v1::PopularResponse> Popular(const v1::PopularRequest& request) = 0;
  virtual absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request) = 0;
  virtual absl::StatusOr<v1::TotalsResponse> Totals(const v1::TotalsRequest& request) = 0;
  virtual absl::StatusOr<v1::WindowsResponse> Windows(const v1::WindowsRequest& request) = 0;
  virtual absl::StatusOr<v1::ExperimentRatesResponse> ExperimentRates(const v1::ExperimentRatesRequest& request) = 0;
  virtual absl::StatusOr<v1::PutItemResponse> PutItem(const v1::PutItemRequest& request) = 0;
  virtual absl::StatusOr<v1::GetItemResponse> GetItem(const v1::GetItemRequest& request) = 0;
  virtual absl::StatusOr<v1::PutRuleResponse> PutRule(const v1::PutRuleRequest& request) = 0;
  virtual absl::StatusOr<v1::ListRulesResponse> ListRules(const v1::ListRulesRequest& request) = 0;
  virtual absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(const v1::DeleteRuleRequest& request) = 0;
  virtual absl::StatusOr<v1::TrendingResponse> Trending(const v1::TrendingRequest& request) = 0;
  virtual absl::StatusOr<v1::LatestResponse> Latest(const v1::LatestRequest& request) = 0;
  virtual absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request) = 0;
  virtual absl::StatusOr<v1::RecentlyViewedResponse> RecentlyViewed(const v1::RecentlyViewedRequest& request) = 0;
  virtual absl::StatusOr<v1::GetProfileResponse> GetProfile(const v1::GetProfileRequest& request) = 0;
  virtual absl::StatusOr<v1::BecauseResponse> Because(const v1::BecauseRequest& request) = 0;
  virtual absl::StatusOr<v1::WhyNotResponse> WhyNot(const v1::WhyNotRequest& request) = 0;
  virtual absl::StatusOr<v1::ForgetUserResponse> ForgetUser(const v1::ForgetUserRequest& request) = 0;
  virtual absl::StatusOr<v1::GetForgetReportResponse> GetForgetReport(const v1::GetForgetReportRequest& request) = 0;
  virtual absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request) = 0;
  virtual absl::StatusOr<v1::StartCanaryResponse> StartCanary(const v1::StartCanaryRequest& request) = 0;
  virtual absl::StatusOr<v1::GetCanaryResponse> GetCanary(const v1::GetCanaryRequest& request) = 0;
  virtual absl::StatusOr<v1::StopCanaryResponse> StopCanary(const v1::StopCanaryRequest& request) = 0;
  // Calls `on_list` with every list that the server sends, until it answers false or the stream ends.
  virtual absl::Status Watch(const v1::WatchRequest& request,
                             const std::function<bool(const v1::RecommendResponse&)>& on_list) = 0;
  // Waits until the server says that it serves, at most `timeout` (zero: asks once). Unavailable: it does not.
  virtual absl::Status AwaitServing(absl::Duration timeout) = 0;
};

// Speaks gRPC without encryption to `host:port`. Connects at the first call; each call may take `timeout`.
std::unique_ptr<ServingClient> ConnectToServer(const std::string& server, absl::Duration timeout);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_
