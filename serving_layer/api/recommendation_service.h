#ifndef TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
#define TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_

#include <memory>

#include "serving_layer/api/grpc_server.h"
#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {

// Rpcs that are not built yet answer UNIMPLEMENTED by the generated base.
class RecommendationServiceImpl final : public v1::RecommendationService::CallbackService {
 public:
  explicit RecommendationServiceImpl(const ServiceParts& parts);
  ~RecommendationServiceImpl() override;

  grpc::ServerUnaryReactor* Recommend(grpc::CallbackServerContext* context, const v1::RecommendRequest* request,
                                      v1::RecommendResponse* response) override;
  grpc::ServerUnaryReactor* SimilarItems(grpc::CallbackServerContext* context, const v1::SimilarItemsRequest* request,
                                         v1::SimilarItemsResponse* response) override;
  grpc::ServerUnaryReactor* Popular(grpc::CallbackServerContext* context, const v1::PopularRequest* request,
                                    v1::PopularResponse* response) override;

 private:
  class MessagesOnArena;

  void RecommendWhenFresh(const RpcCall& call, const v1::RecommendRequest* request, v1::RecommendResponse* response);

  const ServiceParts parts_;
  RpcMetrics recommend_;
  RpcMetrics similar_items_;
  RpcMetrics popular_;
  std::unique_ptr<MessagesOnArena> messages_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
