#ifndef TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
#define TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_

#include <memory>

#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {

class RecommendationServiceImpl final : public ServiceOf<v1::RecommendationService> {
 public:
  RecommendationServiceImpl(const ServiceParts& parts, const Admission& admission);
  ~RecommendationServiceImpl() override;

  grpc::ServerUnaryReactor* Recommend(grpc::CallbackServerContext* context, const v1::RecommendRequest* request,
                                      v1::RecommendResponse* response) override;
  grpc::ServerUnaryReactor* SimilarItems(grpc::CallbackServerContext* context, const v1::SimilarItemsRequest* request,
                                         v1::SimilarItemsResponse* response) override;
  grpc::ServerUnaryReactor* Popular(grpc::CallbackServerContext* context, const v1::PopularRequest* request,
                                    v1::PopularResponse* response) override;
  grpc::ServerUnaryReactor* BatchRecommend(grpc::CallbackServerContext* context, const v1::BatchRecommendRequest* request,
                                           v1::BatchRecommendResponse* response) override;
  grpc::ServerUnaryReactor* Trending(grpc::CallbackServerContext* context, const v1::TrendingRequest* request,
                                     v1::TrendingResponse* response) override;
  grpc::ServerUnaryReactor* Latest(grpc::CallbackServerContext* context, const v1::LatestRequest* request,
                                   v1::LatestResponse* response) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* RecentlyViewed(grpc::CallbackServerContext* context, const v1::RecentlyViewedRequest* request,
                                           v1::RecentlyViewedResponse* response) override;
  grpc::ServerUnaryReactor* GetProfile(grpc::CallbackServerContext* context, const v1::GetProfileRequest* request,
                                       v1::GetProfileResponse* response) override;
  grpc::ServerUnaryReactor* Because(grpc::CallbackServerContext* context, const v1::BecauseRequest* request,
                                    v1::BecauseResponse* response) override;
  grpc::ServerUnaryReactor* WhyNot(grpc::CallbackServerContext* context, const v1::WhyNotRequest* request,
                                   v1::WhyNotResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest* request) override;

 private:
  class MessagesOnArena;

  void RecommendWhenFresh(const RpcCall& call, const v1::RecommendRequest* request, v1::RecommendResponse* response);

  RpcMetrics recommend_{parts_.metrics, "Recommend"};
  RpcMetrics similar_items_{parts_.metrics, "SimilarItems"};
  RpcMetrics popular_{parts_.metrics, "Popular"};
  RpcMetrics batch_recommend_{parts_.metrics, "BatchRecommend"};
  RpcMetrics trending_{parts_.metrics, "Trending"};
  RpcMetrics latest_{parts_.metrics, "Latest"};
  RpcMetrics score_{parts_.metrics, "Score"};
  RpcMetrics recently_viewed_{parts_.metrics, "RecentlyViewed"};
  RpcMetrics get_profile_{parts_.metrics, "GetProfile"};
  RpcMetrics because_{parts_.metrics, "Because"};
  RpcMetrics why_not_{parts_.metrics, "WhyNot"};
  RpcMetrics watch_{parts_.metrics, "Watch"};
  std::unique_ptr<MessagesOnArena> messages_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_RECOMMENDATION_SERVICE_H_
