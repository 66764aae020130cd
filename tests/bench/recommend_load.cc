#include "tests/bench/recommend_load.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/serving_world.h"

namespace tributary::serving {
namespace {

constexpr int64_t kMostUnderWay = 100'000;

}  // namespace

LoadResult AskSteadily(const Load& load) {
  struct Call {
    grpc::ClientContext context;
    v1::RecommendResponse response;
    grpc::Status status;
    absl::Time due;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RecommendResponse>> reader;
  };
  const auto stubs = Connect(load.address, load.connections);
  grpc::CompletionQueue queue;
  const absl::Time begin = absl::Now();
  const absl::Time measured = begin + load.warm_up;
  const auto requests = static_cast<int64_t>(load.requests_per_second * absl::ToDoubleSeconds(load.warm_up + load.measured));
  LoadResult result;
  std::atomic<int64_t> under_way{0};
  std::thread receiver([&] {
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      under_way.fetch_sub(1);
      if (call->due < measured) continue;
      if (call->status.ok()) {
        result.answers.push_back({.due = call->due,
                                  .took = absl::Now() - call->due,
                                  .generation = call->response.freshness().generation()});
      } else if (++result.failed == 1) {
        result.first_failure = call->status.error_message();
      }
    }
  });
  std::string overrun;
  std::mt19937_64 random(9);
  v1::RecommendRequest request;
  request.set_limit(20);
  for (int64_t n = 0; n < requests; ++n) {
    const absl::Time due = begin + n * absl::Seconds(1) / load.requests_per_second;
    if (const absl::Duration ahead = due - absl::Now(); ahead > absl::ZeroDuration()) {
      absl::SleepFor(ahead);
    }
    if (under_way.load() >= kMostUnderWay) {      // Such a rate will not be held any more: no need to fill the memory.
      overrun = absl::StrCat("after ", absl::FormatDuration(absl::Now() - begin), " ", kMostUnderWay,
                             " requests waited for their answers");
      break;
    }
    under_way.fetch_add(1);
    auto* call = new Call;
    call->due = due;
    request.set_user_id(UserId(static_cast<int>(random() % static_cast<uint64_t>(load.users))));
    call->reader = stubs[static_cast<size_t>(n) % stubs.size()]->AsyncRecommend(&call->context, request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
  }
  queue.Shutdown();  // What is under way still comes.
  receiver.join();
  if (!overrun.empty()) {
    ++result.failed;
    result.first_failure = overrun;
  }
  return result;
}

std::vector<absl::Duration> TimesOf(const std::vector<Answered>& answers) {
  std::vector<absl::Duration> times;
  times.reserve(answers.size());
  for (const Answered& answer : answers) times.push_back(answer.took);
  return times;
}

std::vector<std::unique_ptr<v1::RecommendationService::Stub>> Connect(const std::string& address, int connections) {
  std::vector<std::unique_ptr<v1::RecommendationService::Stub>> stubs;
  for (int c = 0; c < connections; ++c) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("bench.channel", c);  // Equal arguments would share one.
    stubs.push_back(v1::RecommendationService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
  }
  return stubs;
}

}  // namespace tributary::serving
