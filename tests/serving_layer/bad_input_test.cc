// What outsiders may send, and how often they may knock: refused by name, and never more than a bounded cost.
#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class BadInputTest : public ServingLayerTest {
 protected:
  void StartWithSnapshot() {
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.Activate(1);
    StartReady();
  }
  // Bytes in place of a request.
  grpc::Status CallWithBytes(const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const grpc::Slice slice(bytes);
    const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  }
};

TEST_F(BadInputTest, BytesThatAreNoRequestAreRefusedAndTheServerGoesOn) {
  StartWithSnapshot();
  const std::string method = "/tributary.v1.RecommendationService/Recommend";
  // gRPC 1.51's callback API itself answers what it cannot parse, text that is not UTF-8 too, and has one code for that.
  for (const std::string& bytes : {std::string("\x0a\x02\xff\xfe"), std::string("\x0a\xff\xff\xff\xff\x7f"),
                                   std::string(1000, '\xff'), std::string("\x0a")}) {
    EXPECT_EQ(CallWithBytes(method, bytes).error_code(), grpc::UNIMPLEMENTED);
  }
  EXPECT_EQ(CallWithBytes(method, std::string((1 << 20) + 1, 'x')).error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(CallWithBytes(method, "").error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(CallWithBytes("/tributary.v1.RecommendationService/NoSuch", "").error_code(), grpc::UNIMPLEMENTED);
  EXPECT_EQ(RecommendTo("ann").items_size(), 10);
}

TEST_F(BadInputTest, UnknownEnumsAreRefusedByName) {
  StartWithSnapshot();
  v1::TotalsRequest totals;
  totals.set_measure(static_cast<v1::Measure>(99));
  v1::TotalsResponse totals_response;
  grpc::ClientContext totals_context;
  const grpc::Status status =
      v1::AnalyticsService::NewStub(channel_)->Totals(&totals_context, totals, &totals_response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("measure"));
  v1::PublishRequest publish;
  publish.mutable_event()->set_user_id("ann");
  publish.mutable_event()->set_type(static_cast<v1::EventType>(99));
  v1::PublishResponse publish_response;
  grpc::ClientContext publish_context;
  const grpc::Status published =
      v1::EventService::NewStub(channel_)->Publish(&publish_context, publish, &publish_response);
  EXPECT_EQ(published.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(published.error_message(), StartsWith("event.type"));
}

// As many as the machine lets a process have, up to 10,000: half of the descriptors are the server's ends.
TEST_F(BadInputTest, ThousandsOfIdleConnectionsDoNotKeepRequestsOut) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const size_t connections = std::min<size_t>(10'000, (limit.rlim_cur - 500) / 2);
  RecordProperty("connections", static_cast<int>(connections));
  StartWithSnapshot();
  std::vector<int> idle;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(serving_->port()));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  while (idle.size() < connections) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    idle.push_back(fd);
  }
  // So many at once take the server's threads a moment, in which requests may be refused as under any load.
  v1::RecommendRequest request;
  request.set_user_id("ann");
  v1::RecommendResponse response;
  Eventually([&] { return Recommend(request, &response).ok(); }, "an answer beside idle connections");
  EXPECT_EQ(response.items_size(), 10);
  // A client that comes now is let in, too.
  const auto late = v1::RecommendationService::NewStub(grpc::CreateCustomChannel(
      absl::StrCat("127.0.0.1:", serving_->port()), grpc::InsecureChannelCredentials(), grpc::ChannelArguments()));
  Eventually(
      [&] {
        grpc::ClientContext context;
        context.set_wait_for_ready(true);
        return late->Recommend(&context, request, &response).ok();
      },
      "an answer to a client that comes now");
  for (const int fd : idle) {
    close(fd);
  }
}

}  // namespace
}  // namespace tributary::serving
