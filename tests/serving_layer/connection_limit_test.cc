// More calls than one connection may have under way.
#include <atomic>
#include <mutex>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "serving_layer/api/grpc_server.h"
#include "tests/serving_layer/stuck_server_fixture.h"

namespace tributary::serving {
namespace {

TEST_F(StuckServerTest, AConnectionHasABoundedNumberOfCallsUnderWayAndOthersAreServedBesideIt) {
  {
    std::lock_guard lock(mutex_);
    let_go_ = true;
  }
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.mutable_min_freshness()->mutable_position()->set_offset(5);
  request.mutable_max_wait()->set_seconds(10);
  struct Call {
    grpc::ClientContext context;
    v1::RecommendResponse response;
  };
  std::atomic<int> under_way = 0;
  const auto ask = [&](v1::RecommendationService::Stub& stub, Call* call) {
    ++under_way;
    stub.async()->Recommend(&call->context, &request, &call->response, [&](const grpc::Status&) { --under_way; });
  };
  std::vector<Call> calls(kMaxCallsOfConnection + 200);
  for (Call& call : calls) {
    ask(*recommendations_, &call);
  }
  Eventually([&] { return waits_.size() == kMaxCallsOfConnection; }, "as many as there may be");
  grpc::ChannelArguments of_its_own;
  of_its_own.SetInt("connection", 2);      // Channels of equal arguments share one.
  const auto other = v1::RecommendationService::NewStub(grpc::CreateCustomChannel(
      absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials(), of_its_own));
  Call beside;
  ask(*other, &beside);
  Eventually([&] { return waits_.size() == kMaxCallsOfConnection + 1; }, "one more, on another connection");
  covered_ = true;
  Eventually(
      [&] {
        waits_.Wake();
        return under_way == 0;
      },
      "answers to all, those who waited at the client too");
}

}  // namespace
}  // namespace tributary::serving
