// The API as JSON over HTTP: the mapping by descriptors, errors, server-sent events, limits.
#include <google/protobuf/util/json_util.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "absl/strings/str_split.h"
#include "serving_layer/api/json_mapping.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpTest : public ServingLayerTest {
 protected:
  void StartWithHttp() {
    world_.config.mutable_serving()->set_http_address("127.0.0.1:0");
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.Activate(1);
    StartReady();
    client_ = std::make_unique<httplib::Client>("127.0.0.1", serving_->http_port());
    client_->set_read_timeout(30);
  }
  httplib::Result Post(const std::string& method, const std::string& body,
                       const std::string& content_type = "application/json") {
    return client_->Post("/v1/" + method, body, content_type.c_str());
  }
  // A socket that is connected, and says nothing.
  int Connect(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      close(fd);
      return -1;
    }
    return fd;
  }

  std::unique_ptr<httplib::Client> client_;
};

TEST_F(HttpTest, AnswersAsTheRpcDoes) {
  StartWithHttp();
  const auto result = Post("RecommendationService/Recommend", R"({"userId": "ann", "limit": 3})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->get_header_value("Content-Type"), "application/json");
  v1::RecommendResponse response;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(result->body, &response).ok()) << result->body;
  EXPECT_EQ(Ids(response), Ids(RecommendTo("ann", 3)));
  EXPECT_EQ(Post("tributary.v1.RecommendationService/Recommend", R"({"user_id": "ann"})")->status, 200);
  EXPECT_EQ(Post("AdminService/GetFreshness", "")->status, 200);
}

TEST_F(HttpTest, EveryMethodOfEveryServiceIsThere) {
  StartWithHttp();
  int methods = 0;
  for (const auto* service : {v1::RecommendationService::service_full_name(), v1::EventService::service_full_name(),
                              v1::CatalogueService::service_full_name(), v1::AnalyticsService::service_full_name(),
                              v1::AdminService::service_full_name()}) {
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    ASSERT_NE(descriptor, nullptr) << service;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      const std::string path = absl::StrCat(descriptor->name(), "/", descriptor->method(i)->name());
      if (path == "AdminService/Drain" || path == "AdminService/RollbackSnapshot") {
        continue;
      }
      const auto result = Post(path, "{}");
      ASSERT_TRUE(result) << path;
      EXPECT_THAT(result->body, testing::Not(HasSubstr("no such"))) << path;
      ++methods;
    }
  }
  EXPECT_GT(methods, 25);
}

TEST_F(HttpTest, ErrorsHaveTheStatusOfTheirCodeAndNameTheField) {
  StartWithHttp();
  const auto expect = [&](const httplib::Result& result, int status, const std::string& text) {
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, status) << result->body;
    EXPECT_THAT(result->body, HasSubstr(text));
  };
  expect(Post("RecommendationService/Recommend", R"({"userId": "ann", "limit": 101})"), 400, "limit must be 1 to 100");
  expect(Post("RecommendationService/Recommend", R"({"userId": "ann", "limt": 1})"), 400, "limt");
  expect(Post("RecommendationService/Recommend", R"({"userId": )"), 400, "not JSON of tributary.v1.RecommendRequest");
  expect(Post("AnalyticsService/Totals", R"({"measure": "NO_SUCH"})"), 400, "NO_SUCH");
  expect(Post("RecommendationService/Recommend", "{\"userId\": \"\xff\xfe\"}"), 400, "INVALID_ARGUMENT");
  expect(Post("RecommendationService/Recommend", R"({"userId": "ann", "pageToken": "forged"})"), 400, "page_token");
  expect(Post("RecommendationService/Because", R"({"userId": "ann", "itemId": "none"})"), 404, "NOT_FOUND");
  expect(Post("AnalyticsService/Windows", R"({"measure": "OVERALL", "type": "VIEW"})"), 400, "INVALID_ARGUMENT");
  expect(Post("RecommendationService/NoSuch", "{}"), 404, "no such method");
  expect(Post("NoService/Recommend", "{}"), 404, "no such method");
  expect(Post("a/b/c", "{}"), 404, "no such method");
  expect(Post("RecommendationService/Recommend", "{}", "text/plain"), 415, "application/json");
  expect(client_->Get("/v1/RecommendationService/Recommend"), 405, "POST");
  expect(client_->Get("/nothing"), 404, "no such path");
  expect(Post("RecommendationService/Recommend", std::string((1 << 20) + 1, ' ')), 413, "1048576");
  expect(client_->Post("/v1/RecommendationService/Recommend", {{"Timeout-Ms", "0"}}, "{}", "application/json"), 400,
         "Timeout-Ms");
  std::string items;
  for (int i = 0; i <= 1000; ++i) {
    absl::StrAppend(&items, i > 0 ? "," : "", "\"i", i, "\"");
  }
  expect(Post("RecommendationService/Recommend",
              absl::StrCat(R"({"userId": "ann", "filter": {"excludeItems": [)", items, "]}}")),
         400, "filter.exclude_items has more than 1000");
}

TEST_F(HttpTest, PublishStreamTakesALineAnEvent) {
  StartWithHttp();
  const auto result = Post("EventService/PublishStream",
                           "{\"event\": {\"userId\": \"ann\", \"type\": \"VIEW\", \"itemId\": \"i1\"}}\n\n"
                           "{\"event\": {\"userId\": \"\", \"type\": \"VIEW\", \"itemId\": \"i1\"}}\n",
                           "application/x-ndjson");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200) << result->body;
  v1::PublishStreamResponse response;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(result->body, &response).ok());
  EXPECT_EQ(response.accepted(), 1);
  ASSERT_EQ(response.rejected_size(), 1);
  EXPECT_EQ(response.rejected(0).field(), "user_id");
  EXPECT_THAT(Post("EventService/PublishStream", "{}\n{", "application/x-ndjson")->body, HasSubstr("line 2"));
}

TEST_F(HttpTest, WatchIsServerSentEvents) {
  StartWithHttp();
  std::mutex mutex;
  std::string text;
  std::atomic<bool> done = false;
  std::thread reader([&] {
    httplib::Client client("127.0.0.1", serving_->http_port());
    client.set_read_timeout(60);
    const auto result =
        client.Get("/v1/RecommendationService/Watch?request=%7B%22request%22%3A%7B%22userId%22%3A%22ann%22%7D%7D",
                   [&](const char* data, size_t size) {
                     std::lock_guard lock(mutex);
                     text.append(data, size);
                     return true;
                   });
    done = true;
  });
  const auto events = [&] {
    std::lock_guard lock(mutex);
    std::vector<std::string> parts = absl::StrSplit(text, "\n\n", absl::SkipEmpty());
    return parts;
  };
  Eventually([&] { return events().size() == 1; }, "the first list");
  EXPECT_THAT(events()[0], StartsWith("data: {\"response\":{\"items\":[{\"itemId\":\"i0\""));
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::PURCHASE, "i0", 12)});
  world_.PutProgress(0, world_.Position(20));
  Eventually([&] { return events().size() == 2; }, "a new list");
  EXPECT_THAT(events()[1], StartsWith("data: {\"response\":{\"items\":[{\"itemId\":\"i1\""));
  serving_->Stop();
  reader.join();
  EXPECT_THAT(events().back(), testing::AnyOf(HasSubstr("UNAVAILABLE"), StartsWith("data:")));
}

TEST_F(HttpTest, AWatchThatIsRefusedSaysSoInTheStream) {
  StartWithHttp();
  const auto result = Post("RecommendationService/Watch", R"({"request": {"limit": 5}})");
  ASSERT_TRUE(result);
  EXPECT_THAT(result->body, StartsWith("event: error\ndata: {"));
  EXPECT_THAT(result->body, HasSubstr("request.user_id"));
}

TEST_F(HttpTest, OneConnectionTooManyIsAnswered503) {
  world_.config.mutable_serving()->set_http_connections(2);
  StartWithHttp();
  client_.reset();
  const int first = Connect(serving_->http_port());
  const int second = Connect(serving_->http_port());
  ASSERT_GE(first, 0);
  ASSERT_GE(second, 0);
  httplib::Client third("127.0.0.1", serving_->http_port());
  Eventually(
      [&] {
        const auto result = third.Post("/v1/AdminService/GetFreshness", "{}", "application/json");
        return result && result->status == 503 && result->body.find("http_connections") != std::string::npos;
      },
      "503");
  close(first);
  close(second);
  Eventually(
      [&] {
        httplib::Client again("127.0.0.1", serving_->http_port());
        const auto result = again.Post("/v1/AdminService/GetFreshness", "{}", "application/json");
        return result && result->status == 200;
      },
      "a free connection");
}

TEST_F(HttpTest, AnAddressThatIsTakenIsSaid) {
  StartWithHttp();
  MetricsRegistry metrics;
  world_.config.mutable_serving()->set_http_address(absl::StrCat("127.0.0.1:", serving_->http_port()));
  EXPECT_EQ(ServingLayer::Start(world_.config, world_.log, world_.clock, metrics).status().code(),
            absl::StatusCode::kUnavailable);
  world_.config.mutable_serving()->set_http_address("nonsense");
  MetricsRegistry more_metrics;
  EXPECT_EQ(ServingLayer::Start(world_.config, world_.log, world_.clock, more_metrics).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::serving
