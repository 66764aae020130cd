#ifndef TRIBUTARY_TESTS_SERVING_LAYER_STUCK_SERVER_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVING_LAYER_STUCK_SERVER_FIXTURE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "common/merge/policy.h"
#include "serving_layer/api/grpc_server.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {

// A server whose every answer stands still until it is let go.
class StuckServerTest : public ServingLayerTest {
 protected:
  StuckServerTest() {
    world_.config.mutable_serving()->set_max_queue_ms(50);
    snapshots_ = std::make_unique<SnapshotManager>(
        SnapshotManager::Options{.snapshots_dir = world_.config.storage().snapshots_dir()}, policy_, world_.clock,
        live_, context_, world_.metrics);
    publisher_ = *EventPublisher::Start(world_.log, world_.metrics);
    server_ = *GrpcServer::Start("127.0.0.1:0", {.recommender = recommender_,
                                                 .live = live_,
                                                 .context = context_,
                                                 .snapshots = *snapshots_,
                                                 .publisher = *publisher_,
                                                 .waits = waits_,
                                                 .watches = watches_,
                                                 .clock = world_.clock,
                                                 .metrics = world_.metrics,
                                                 .config = world_.config,
                                                 .topics = world_.topics,
                                                 .drain = [](bool) {}});
    recommendations_ = v1::RecommendationService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }
  bool Stand() {
    std::unique_lock lock(mutex_);
    ++worked_on_;
    changed_.wait(lock, [this] { return let_go_; });
    return true;
  }
  // Calls from so many threads, which all queue behind those that stand still; lets them go once that has lasted a
  // while.
  std::vector<grpc::Status> CallAll(int calls, std::chrono::milliseconds deadline, std::atomic<int>* with_retry_after) {
    std::vector<grpc::Status> statuses(calls);
    std::vector<std::thread> threads;
    for (int i = 0; i < calls; ++i) {
      threads.emplace_back([&, i] {
        v1::RecommendRequest request;
        request.set_user_id("ann");
        v1::RecommendResponse response;
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + deadline);
        statuses[i] = recommendations_->Recommend(&context, request, &response);
        *with_retry_after += static_cast<int>(context.GetServerTrailingMetadata().count("retry-after-ms"));
      });
    }
    const auto begin = std::chrono::steady_clock::now();
    Eventually([&] { return std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(500); }, "a queue");
    {
      std::lock_guard lock(mutex_);
      let_go_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return statuses;
  }

  LiveState live_;
  ContextPublisher context_;
  ItemTrends trends_{live_};
  const MergePolicy policy_ = *MergePolicy::FromProto(world_.config.merge());
  const Recommender recommender_{
      {.stale_after = absl::Minutes(1), .segment_size = 16}, policy_, world_.clock, live_, context_, trends_, [this] {
        return Stand();
      }};
  std::unique_ptr<SnapshotManager> snapshots_;
  std::unique_ptr<EventPublisher> publisher_;
  std::atomic<bool> covered_ = false;
  FreshnessWaits waits_{[this](const v1::EventPosition&) { return covered_.load(); }};
  Watches watches_{1, recommender_, live_, context_};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool let_go_ = false;
  int worked_on_ = 0;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_SERVING_LAYER_STUCK_SERVER_FIXTURE_H_
