#ifndef TRIBUTARY_TESTS_SERVING_LAYER_SERVING_LAYER_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVING_LAYER_SERVING_LAYER_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "serving_layer/serving_layer.h"
#include "tests/serving_layer/serving_world.h"
#include "tributary/v1/admin_service.grpc.pb.h"
#include "tributary/v1/analytics_service.grpc.pb.h"
#include "tributary/v1/catalogue_service.grpc.pb.h"
#include "tributary/v1/event_service.grpc.pb.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {

// A serving layer in a world, and a client of its own over gRPC.
class ServingLayerTest : public ::testing::Test {
 protected:
  void Start() {
    auto serving =
        ServingLayer::Start(world_.config, world_.log, world_.clock, world_.metrics, [this] { failed_ = true; });
    ASSERT_TRUE(serving.ok()) << serving.status();
    serving_ = *std::move(serving);
    channel_ = grpc::CreateChannel(absl::StrCat("127.0.0.1:", serving_->port()), grpc::InsecureChannelCredentials());
    recommendations_ = v1::RecommendationService::NewStub(channel_);
  }
  void StartReady() {
    Start();
    Eventually([&] { return serving_->ready(); }, "ready");
  }

  grpc::Status Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) {
    grpc::ClientContext context;
    return recommendations_->Recommend(&context, request, response);
  }
  v1::RecommendResponse RecommendTo(const std::string& user_id, int limit = 20) {
    v1::RecommendRequest request;
    request.set_user_id(user_id);
    request.set_limit(limit);
    v1::RecommendResponse response;
    const grpc::Status status = Recommend(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // Purchases overall.
  int64_t Purchases() {
    v1::TotalsRequest request;
    request.set_measure(v1::OVERALL);
    v1::TotalsResponse response;
    grpc::ClientContext context;
    const grpc::Status status = v1::AnalyticsService::NewStub(channel_)->Totals(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.totals().empty() ? 0 : response.totals(0).events();
  }
  v1::ListSnapshotsResponse ListSnapshots() {
    v1::ListSnapshotsResponse response;
    grpc::ClientContext context;
    const grpc::Status status = v1::AdminService::NewStub(channel_)->ListSnapshots(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  void AwaitApplied(int partition, int64_t applied) {
    Eventually(
        [&] {
          v1::GetFreshnessResponse response;
          grpc::ClientContext context;
          return v1::AdminService::NewStub(channel_)->GetFreshness(&context, {}, &response).ok() &&
                 response.freshness().partitions(partition).applied_offset() == applied;
        },
        "progress");
  }
  static std::string Ids(const v1::RecommendResponse& response) {
    std::vector<std::string> ids;
    for (const v1::RecommendedItem& item : response.items()) {
      ids.push_back(item.item_id());
    }
    return absl::StrJoin(ids, " ");
  }

  static bool Has(const v1::RecommendResponse& response, v1::Degradation degradation) {
    const auto& degraded = response.freshness().degraded();
    return std::find(degraded.begin(), degraded.end(), degradation) != degraded.end();
  }

  ServingWorld world_;
  std::atomic<bool> failed_{false};   // on_failure was called.
  std::unique_ptr<ServingLayer> serving_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RecommendationService::Stub> recommendations_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_SERVING_LAYER_SERVING_LAYER_FIXTURE_H_
