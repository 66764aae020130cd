#ifndef TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
#define TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_

#include <memory>

#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {

class RecommendationServiceImpl final : public ServiceOf<v1::RecommendationService> {
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

  RpcMetrics recommend_{parts_.metrics, "Recommend"};
  RpcMetrics similar_items_{parts_.metrics, "SimilarItems"};
  RpcMetrics popular_{parts_.metrics, "Popular"};
  std::unique_ptr<MessagesOnArena> messages_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
