// What gRPC's own services and the metrics say of a running server, and the calls about users.
#include <glog/logging.h>
#include <google/protobuf/message.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <thread>

#include "common/merge/policy.h"
#include "serving_layer/api/grpc_server.h"
#include "tests/serving_layer/serving_layer_fixture.h"
#include "tests/serving_layer/stuck_server_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using ApiTest = ServingLayerTest;

// Of grpc.health.v1.HealthCheckResponse.
constexpr int kServing = 1;
constexpr int kNotServing = 2;

// A call of a service whose generated code is not installed: one request in bytes, any number of answers in bytes.
class RawCall {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, const std::string& request)
      : stub_(channel), call_(stub_.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(this);
    EXPECT_TRUE(Done());
    const grpc::Slice slice(request);
    call_->Write(grpc::ByteBuffer(&slice, 1), this);
    EXPECT_TRUE(Done());
  }
  ~RawCall() {
    context_.TryCancel();
    grpc::Status status;
    call_->Finish(&status, this);
    Done();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    EXPECT_FALSE(queue_.Next(&tag, &ok));
  }
  // The next answer; waits for it.
  std::string Read() {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, this);
    EXPECT_TRUE(Done());
    grpc::Slice slice;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
    return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }

 private:
  bool Done() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

// The field `status` of a HealthCheckResponse.
int HealthOf(const std::string& answer) {
  google::protobuf::Empty message;
  EXPECT_TRUE(message.ParseFromString(answer));
  const google::protobuf::UnknownFieldSet& fields = google::protobuf::Empty::GetReflection()->GetUnknownFields(message);
  return fields.field_count() == 1 && fields.field(0).number() == 1 ? static_cast<int>(fields.field(0).varint()) : -1;
}

TEST_F(ApiTest, HealthTurnsServingWithTheFirstSnapshotAndBackWhenItStops) {
  Start();
  EXPECT_EQ(HealthOf(RawCall(channel_, "/grpc.health.v1.Health/Check", "").Read()), kNotServing);
  RawCall watch(channel_, "/grpc.health.v1.Health/Watch", "");
  EXPECT_EQ(HealthOf(watch.Read()), kNotServing);
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  EXPECT_EQ(HealthOf(watch.Read()), kServing);
  EXPECT_EQ(HealthOf(RawCall(channel_, "/grpc.health.v1.Health/Check", "").Read()), kServing);
  world_.log.RecreateTopic(world_.topics.events);
  world_.clock.Advance(absl::Seconds(2));
  EXPECT_EQ(HealthOf(watch.Read()), kNotServing);
}

TEST_F(ApiTest, ReflectionListsEveryService) {
  Start();
  // The server's library brings the descriptors of the service into this process.
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const auto message = [&](const std::string& name) {
    const auto* descriptor = pool->FindMessageTypeByName("grpc.reflection.v1alpha." + name);
    CHECK(descriptor != nullptr) << name;
    return std::unique_ptr<google::protobuf::Message>(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  };
  const auto request = message("ServerReflectionRequest");
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("list_services: ''", request.get()));
  const auto response = message("ServerReflectionResponse");
  ASSERT_TRUE(response->ParseFromString(RawCall(channel_,
                                                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                                request->SerializeAsString())
                                            .Read()));
  for (const char* service : {"RecommendationService", "EventService", "CatalogueService", "AnalyticsService",
                              "AdminService"}) {
    EXPECT_THAT(response->ShortDebugString(), HasSubstr(absl::StrCat("\"tributary.v1.", service, "\"")));
  }
}

TEST_F(ApiTest, UserRecordsAreWrittenRefusedByFieldAndDeleted) {
  world_.config.mutable_serving()->set_serve_without_snapshot(true);
  StartReady();
  auto catalogue = v1::CatalogueService::NewStub(channel_);
  const auto put = [&](const v1::UserRecord& user) {
    v1::PutUserRequest request;
    *request.mutable_user() = user;
    v1::PutUserResponse response;
    grpc::ClientContext context;
    return catalogue->PutUser(&context, request, &response);
  };
  v1::UserRecord user;
  EXPECT_THAT(put(user).error_message(), HasSubstr("user_id"));
  user.set_user_id("ann");
  user.set_segment("gold");
  ASSERT_TRUE(put(user).ok());
  v1::DeleteUserRequest request;
  v1::DeleteUserResponse response;
  {
    grpc::ClientContext context;
    EXPECT_EQ(catalogue->DeleteUser(&context, request, &response).error_code(), grpc::INVALID_ARGUMENT);
  }
  request.set_user_id("ann");
  grpc::ClientContext context;
  ASSERT_TRUE(catalogue->DeleteUser(&context, request, &response).ok());

  std::vector<LogRecord> records;
  for (int p = 0; p < *world_.log.PartitionCount(world_.topics.users); ++p) {
    for (LogRecord& record : world_.log.Records({world_.topics.users, PartitionId{p}}, Isolation::kCommitted)) {
      records.push_back(std::move(record));
    }
  }
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].key, "ann");
  v1::UserRecord written;
  ASSERT_TRUE(written.ParseFromString(records[0].value.value()));
  EXPECT_EQ(written.segment(), "gold");
  EXPECT_EQ(records[1].key, "ann");
  EXPECT_FALSE(records[1].value.has_value());
}

TEST_F(ApiTest, MetricsCountAnswersByRpcAndCodeTimeThemAndShowThePartitions) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  RecommendTo("ann");
  RecommendTo("bob");
  v1::RecommendResponse response;
  EXPECT_FALSE(Recommend({}, &response).ok());
  world_.FillEvents(0, 30);
  world_.clock.Advance(absl::Seconds(7));
  Eventually([&] { return world_.metrics.Text().find("lag_seconds{partition=\"0\"} 7\n") != std::string::npos; }, "lag");
  EXPECT_THAT(world_.metrics.Text(),
              AllOf(HasSubstr("tributary_serving_requests_total{code=\"OK\",rpc=\"Recommend\"} 2\n"),
                    HasSubstr("tributary_serving_requests_total{code=\"INVALID_ARGUMENT\",rpc=\"Recommend\"} 1\n"),
                    HasSubstr("tributary_serving_request_seconds_count{rpc=\"Recommend\"} 3\n"),
                    HasSubstr("tributary_serving_request_seconds_bucket{rpc=\"Recommend\",le=\"+Inf\"} 3\n"),
                    HasSubstr("tributary_serving_snapshot_generation 1\n"),
                    HasSubstr("tributary_serving_watermark_offset{partition=\"0\"} 10\n"),
                    HasSubstr("tributary_serving_applied_offset{partition=\"0\"} 20\n")));
}

TEST_F(ApiTest, ARequestThatWouldWaitForFreshnessBesideTooManyIsRefused) {
  LiveState live;
  ContextPublisher context;
  const MergePolicy policy = *MergePolicy::FromProto(world_.config.merge());
  ItemTrends trends(live);
  const Recommender recommender({.stale_after = absl::Minutes(1), .segment_size = 16}, policy, world_.clock, live,
                                context, trends, [] { return true; });
  SnapshotManager snapshots({.snapshots_dir = world_.config.storage().snapshots_dir()}, policy, world_.clock, live, context,
                            world_.metrics);
  const auto publisher = EventPublisher::Start(world_.log, world_.metrics);
  ASSERT_TRUE(publisher.ok());
  Watches watches(/*max_watchers=*/1, recommender, live, context);
  FreshnessWaits waits([](const v1::EventPosition&) { return false; });
  const auto server = GrpcServer::Start("127.0.0.1:0", {.recommender = recommender,
                                                        .live = live,
                                                        .context = context,
                                                        .snapshots = snapshots,
                                                        .publisher = **publisher,
                                                        .waits = waits,
                                                        .watches = watches,
                                                        .clock = world_.clock,
                                                        .metrics = world_.metrics,
                                                        .config = world_.config,
                                                        .topics = world_.topics,
                                                        .drain = [](bool) {}});
  ASSERT_TRUE(server.ok()) << server.status();
  recommendations_ = v1::RecommendationService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", (*server)->port()), grpc::InsecureChannelCredentials()));
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.mutable_min_freshness()->mutable_position()->set_offset(5);
  request.mutable_max_wait()->set_nanos(1'000'000);
  uint64_t last = 0;
  int waiting = 0;
  while (const auto number = waits.Add(request.min_freshness().position(), [] {})) {
    last = *number;
    ASSERT_LE(++waiting, 10'000);
  }
  EXPECT_EQ(waiting, 10'000);
  v1::RecommendResponse response;
  EXPECT_EQ(Recommend(request, &response).error_code(), grpc::RESOURCE_EXHAUSTED);
  waits.Remove(last);
  EXPECT_TRUE(Recommend(request, &response).ok());
}

TEST_F(StuckServerTest, RequestsThatStoodInAQueueTooLongAreRefusedAndToldWhenToRetry) {
  constexpr int kCalls = 64;
  std::atomic<int> with_retry_after = 0;
  int refused = 0;
  for (const grpc::Status& status : CallAll(kCalls, std::chrono::seconds(60), &with_retry_after)) {
    refused += status.error_code() == grpc::RESOURCE_EXHAUSTED ? 1 : 0;
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::RESOURCE_EXHAUSTED) << status.error_message();
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(refused, kCalls - worked_on_);
  EXPECT_EQ(with_retry_after, refused);
  // The queue is gone, and so is the refusal.
  v1::RecommendRequest request;
  request.set_user_id("ann");
  v1::RecommendResponse response;
  Eventually([&] { return Recommend(request, &response).ok(); }, "an answer");
}

TEST_F(StuckServerTest, ARequestWhoseDeadlinePassedIsNotWorkedOn) {
  constexpr int kCalls = 64;
  std::atomic<int> ignored = 0;
  for (const grpc::Status& status : CallAll(kCalls, std::chrono::milliseconds(200), &ignored)) {
    EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED) << status.error_message();
  }
  const int worked_on = worked_on_;
  EXPECT_LT(worked_on, kCalls / 2);
  v1::RecommendRequest request;
  request.set_user_id("ann");
  v1::RecommendResponse response;
  Eventually([&] { return Recommend(request, &response).ok(); }, "an answer");
}

}  // namespace
}  // namespace tributary::serving
