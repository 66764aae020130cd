#include "serving_layer/api/recommendation_service.h"

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <google/protobuf/arena.h>
#include <grpcpp/alarm.h>
#include <grpcpp/support/message_allocator.h>

#include "common/sync/mutex.h"
#include "serving_layer/api/watch_stream.h"
#include "serving_layer/requests/checks.h"

namespace tributary::serving {
namespace {

// A request that waits for freshness: whichever of progress and the alarm comes first ends the wait, on a thread of gRPC.
class FreshnessWait {
 public:
  // `answer` is called once, at the end of the wait; it keeps this object alive until then.
  void Start(absl::Duration max_wait, std::function<void()> answer) {
    MutexLock lock(mutex_);
    answer_ = std::move(answer);
    alarm_ = std::make_unique<grpc::Alarm>();
    const auto deadline = std::chrono::system_clock::now() + absl::ToChronoNanoseconds(max_wait);
    // The function holds a pointer and no more: all else that gRPC's thread reads is handed over under our own mutex, where
    // ThreadSanitizer sees it.
    alarm_->Set(std::chrono::time_point_cast<std::chrono::system_clock::duration>(deadline),
                [this](bool /*expired*/) { End(); });
    if (reached_) {
      alarm_->Cancel();
    }
  }
  void Reach() {
    MutexLock lock(mutex_);
    reached_ = true;
    if (alarm_ != nullptr) {
      alarm_->Cancel();
    }
  }

 private:
  void End() {
    std::unique_ptr<grpc::Alarm> alarm;
    std::function<void()> answer;
    {
      MutexLock lock(mutex_);
      alarm = std::move(alarm_);
      answer = std::move(answer_);
    }
    answer();
  }

  Mutex mutex_;
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> answer_ ABSL_GUARDED_BY(mutex_);
  bool reached_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

// Request and answer of one Recommend share an arena, whose first block comes with it: one allocation for both.
class RecommendationServiceImpl::MessagesOnArena final
    : public grpc::MessageAllocator<v1::RecommendRequest, v1::RecommendResponse> {
 public:
  grpc::MessageHolder<v1::RecommendRequest, v1::RecommendResponse>* AllocateMessages() override { return new Holder; }

 private:
  class Holder final : public grpc::MessageHolder<v1::RecommendRequest, v1::RecommendResponse> {
   public:
    Holder() : arena_(block_.data(), block_.size()) {
      set_request(google::protobuf::Arena::CreateMessage<v1::RecommendRequest>(&arena_));
      set_response(google::protobuf::Arena::CreateMessage<v1::RecommendResponse>(&arena_));
    }
    void Release() override { delete this; }

   private:
    // An answer of 20 items with their reasons fits.
    alignas(8) std::array<char, 16 * 1024> block_;
    google::protobuf::Arena arena_;
  };
};

RecommendationServiceImpl::RecommendationServiceImpl(const ServiceParts& parts, const Admission& admission)
    : ServiceOf(parts, admission), messages_(std::make_unique<MessagesOnArena>()) {
  SetMessageAllocatorFor_Recommend(messages_.get());
}

RecommendationServiceImpl::~RecommendationServiceImpl() = default;

grpc::ServerUnaryReactor* RecommendationServiceImpl::Recommend(grpc::CallbackServerContext* context,
                                                               const v1::RecommendRequest* request,
                                                               v1::RecommendResponse* response) {
  const RpcCall call(recommend_, context);
  if (const absl::Status admitted = call.Admitted(admission_); !admitted.ok()) {
    return call.Finish(admitted);
  }
  if (request->has_min_freshness() && request->has_max_wait() && Check(*request).ok() &&
      !parts_.recommender.Covers(request->min_freshness().position())) {
    RecommendWhenFresh(call, request, response);
    return call.reactor();
  }
  return call.Finish(parts_.recommender.Recommend(*request, response));
}

void RecommendationServiceImpl::RecommendWhenFresh(const RpcCall& call, const v1::RecommendRequest* request,
                                                   v1::RecommendResponse* response) {
  auto wait = std::make_shared<FreshnessWait>();
  const v1::EventPosition& position = request->min_freshness().position();
  const std::optional<uint64_t> number = parts_.waits.Add(position, [wait] { wait->Reach(); });
  if (!number) {
    call.Finish(absl::ResourceExhaustedError("too many requests wait for freshness"));
    return;
  }
  if (parts_.recommender.Covers(position)) {
    wait->Reach();  // Progress came between the first look and Add, and woke nobody.
  }
  wait->Start(MaxWait(*request), [this, call, request, response, wait, number = *number] {
    parts_.waits.Remove(number);
    call.Finish(parts_.recommender.Recommend(*request, response));
  });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::SimilarItems(grpc::CallbackServerContext* context,
                                                                  const v1::SimilarItemsRequest* request,
                                                                  v1::SimilarItemsResponse* response) {
  return Serve(similar_items_, context, [&] { return parts_.recommender.SimilarItems(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::Popular(grpc::CallbackServerContext* context,
                                                             const v1::PopularRequest* request,
                                                             v1::PopularResponse* response) {
  return Serve(popular_, context, [&] { return parts_.recommender.Popular(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::BatchRecommend(grpc::CallbackServerContext* context,
                                                                    const v1::BatchRecommendRequest* request,
                                                                    v1::BatchRecommendResponse* response) {
  return Serve(batch_recommend_, context, [&] { return parts_.recommender.BatchRecommend(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::Trending(grpc::CallbackServerContext* context,
                                                              const v1::TrendingRequest* request,
                                                              v1::TrendingResponse* response) {
  return Serve(trending_, context, [&] { return parts_.recommender.Trending(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::Latest(grpc::CallbackServerContext* context,
                                                            const v1::LatestRequest* request,
                                                            v1::LatestResponse* response) {
  return Serve(latest_, context, [&] { return parts_.recommender.Latest(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::Score(grpc::CallbackServerContext* context,
                                                           const v1::ScoreRequest* request,
                                                           v1::ScoreResponse* response) {
  return Serve(score_, context, [&] { return parts_.recommender.Score(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::RecentlyViewed(grpc::CallbackServerContext* context,
                                                                    const v1::RecentlyViewedRequest* request,
                                                                    v1::RecentlyViewedResponse* response) {
  return Serve(recently_viewed_, context, [&] { return parts_.recommender.RecentlyViewed(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::GetProfile(grpc::CallbackServerContext* context,
                                                                const v1::GetProfileRequest* request,
                                                                v1::GetProfileResponse* response) {
  return Serve(get_profile_, context, [&] { return parts_.recommender.GetProfile(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::Because(grpc::CallbackServerContext* context,
                                                             const v1::BecauseRequest* request,
                                                             v1::BecauseResponse* response) {
  return Serve(because_, context, [&] { return parts_.recommender.Because(*request, response); });
}

grpc::ServerUnaryReactor* RecommendationServiceImpl::WhyNot(grpc::CallbackServerContext* context,
                                                            const v1::WhyNotRequest* request,
                                                            v1::WhyNotResponse* response) {
  return Serve(why_not_, context, [&] { return parts_.recommender.WhyNot(*request, response); });
}

grpc::ServerWriteReactor<v1::WatchResponse>* RecommendationServiceImpl::Watch(grpc::CallbackServerContext* context,
                                                                              const v1::WatchRequest* request) {
  absl::Status admitted = Check(*request);
  if (admitted.ok()) {
    const int64_t now_ns = std::chrono::steady_clock::now().time_since_epoch().count();
    admitted = admission_.Admit(now_ns);
    if (!admitted.ok()) {
      SayWhenToRetry(admission_.queue_time_ns(now_ns), context);
    }
  }
  return new WatchStream(parts_.watches, watch_, request->request(), std::move(admitted));
}

}  // namespace tributary::serving
