#include "serving_layer/api/rpc_call.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tributary::serving {
namespace {

constexpr int64_t kShortestRetryMs = 100;
constexpr int64_t kLongestRetryMs = 5'000;

}  // namespace

void SayWhenToRetry(int64_t queue_time_ns, grpc::CallbackServerContext* context) {
  const std::string retry_ms = absl::StrCat(std::clamp(queue_time_ns / 1'000'000, kShortestRetryMs, kLongestRetryMs));
  context->AddTrailingMetadata("retry-after-ms", retry_ms);
  context->AddTrailingMetadata("grpc-retry-pushback-ms", retry_ms);
}

}  // namespace tributary::serving
