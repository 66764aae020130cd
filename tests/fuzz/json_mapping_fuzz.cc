#include <glog/logging.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "serving_layer/api/json_mapping.h"
#include "tests/fuzz/fuzz_target.h"
#include "tributary/v1/admin_service.pb.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/catalogue_service.pb.h"
#include "tributary/v1/event_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

// A path, a newline and a body, as an HTTP client may send them: what is taken is a message of the method's request;
// what is refused says so by its code, in JSON.
namespace tributary::fuzz {

std::vector<std::string> FuzzSeeds() {
  // Linked for their descriptors.
  (void)v1::GetFreshnessRequest::descriptor();
  (void)v1::TotalsRequest::descriptor();
  (void)v1::PutItemRequest::descriptor();
  return {
      "RecommendationService/Recommend\n{\"userId\": \"ann\", \"limit\": 3, \"filter\": {\"minPrice\": 1.5}}",
      "tributary.v1.RecommendationService/Recommend\n{\"user_id\": \"\xff\", \"asOfTime\": \"2026-01-01T00:00:00Z\"}",
      "EventService/PublishStream\n{\"event\": {\"userId\": \"ann\", \"type\": \"VIEW\"}}\n\n{}",
      "AnalyticsService/Totals\n{\"measure\": \"OVERALL\"}",
      "AdminService/GetConfig\n",
      "RecommendationService/Watch\n{\"request\": {\"maxWait\": \"1s\"}}",
      "CatalogueService/PutItem\n{\"item\": {\"itemId\": \"i\", \"leadTime\": \"-1s\", \"stock\": \"7\"}}",
      "a/b/c\n[[[[",
  };
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  using namespace tributary::serving;
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  const auto method = FindMethod(input.substr(0, line));
  if (!method.ok()) {
    CHECK(absl::IsNotFound(method.status()));
    CHECK(!ErrorToJson(absl::InvalidArgumentError(input)).empty());
    return 0;
  }
  const auto requests =
      RequestsFromJson(**method, line == absl::string_view::npos ? absl::string_view() : input.substr(line + 1));
  if (!requests.ok()) {
    CHECK(absl::IsInvalidArgument(requests.status())) << requests.status();
    CHECK(!ErrorToJson(requests.status()).empty());
    return 0;
  }
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype((*method)->input_type())->New());
  for (const std::string& request : *requests) {
    CHECK(message->ParseFromString(request));
  }
  return 0;
}
