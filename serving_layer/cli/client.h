#ifndef TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_
#define TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
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
  virtual absl::StatusOr<v1::PutItemResponse> PutItem(const v1::PutItemRequest& request) = 0;
  virtual absl::StatusOr<v1::GetItemResponse> GetItem(const v1::GetItemRequest& request) = 0;
  virtual absl::StatusOr<v1::PutRuleResponse> PutRule(const v1::PutRuleRequest& request) = 0;
  virtual absl::StatusOr<v1::ListRulesResponse> ListRules(const v1::ListRulesRequest& request) = 0;
  virtual absl::StatusOr<v1::DeleteRuleResponse> DeleteRule(const v1::DeleteRuleRequest& request) = 0;
  // Waits until the server says that it serves, at most `timeout` (zero: asks once). Unavailable: it does not.
  virtual absl::Status AwaitServing(absl::Duration timeout) = 0;
};

// Speaks gRPC without encryption to `host:port`. Connects at the first call; each call may take `timeout`.
std::unique_ptr<ServingClient> ConnectToServer(const std::string& server, absl::Duration timeout);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_CLIENT_H_
