// Streams of a running server: many events in, a user's list out again and again; forgetting, draining, snapshots by
// hand.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "serving_layer/api/admission.h"
#include "serving_layer/requests/forget_report.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StreamsTest : public ServingLayerTest {
 protected:
  void StartWithSnapshot() {
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.Activate(1);
    StartReady();
  }
  std::unique_ptr<v1::EventService::Stub> Events() { return v1::EventService::NewStub(channel_); }
  std::unique_ptr<v1::AdminService::Stub> Admin() { return v1::AdminService::NewStub(channel_); }
  static v1::PublishStreamRequest View(const std::string& user, const std::string& item) {
    v1::PublishStreamRequest request;
    request.mutable_event()->set_user_id(user);
    request.mutable_event()->set_type(v1::VIEW);
    request.mutable_event()->set_item_id(item);
    return request;
  }
  int64_t EventsEnd(int partition) {
    return Value(world_.log.Offsets({world_.topics.events, PartitionId{partition}}, Isolation::kUncommitted)->end);
  }
};

TEST_F(StreamsTest, PublishStreamWritesInOrderAndNamesWhatItRefused) {
  StartWithSnapshot();
  v1::PublishStreamResponse response;
  grpc::ClientContext context;
  const auto events = Events();
  const auto writer = events->PublishStream(&context, &response);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(writer->Write(View("ann", i % 1000 == 7 ? "" : absl::StrCat("i", i))));
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.accepted(), 2997);
  ASSERT_EQ(response.rejected_size(), 3);
  EXPECT_EQ(response.rejected(1).index(), 1007);
  EXPECT_FALSE(response.rejected(1).field().empty() && response.rejected(1).reason().empty());
  ASSERT_EQ(response.tokens_size(), 1);
  const v1::EventPosition& last = response.tokens(0).position();
  const std::vector<LogRecord> records =
      world_.log.Records({world_.topics.events, PartitionId{last.partition()}}, Isolation::kUncommitted);
  EXPECT_EQ(Value(records.back().offset), last.offset());
  int next = 0;
  for (const LogRecord& record : records) {
    v1::Event event;
    ASSERT_TRUE(event.ParseFromString(*record.value));
    if (event.user_id() == "ann") {
      next += next % 1000 == 7 ? 1 : 0;
      ASSERT_EQ(event.item_id(), absl::StrCat("i", next++));
    }
  }
  EXPECT_EQ(next, 3000);
}

TEST_F(StreamsTest, PublishStreamEndsAtTheLogsErrorAndAfterTooManyRefused) {
  StartWithSnapshot();
  const auto events = Events();
  world_.log.FailNext(FakeEventLog::Operation::kProduce, 1, absl::UnavailableError("the broker is away"));
  {
    v1::PublishStreamResponse response;
    grpc::ClientContext context;
    const auto writer = events->PublishStream(&context, &response);
    while (writer->Write(View("ann", "i1"))) {
    }
    EXPECT_EQ(writer->Finish().error_code(), grpc::UNAVAILABLE);
  }
  v1::PublishStreamResponse response;
  grpc::ClientContext context;
  const auto writer = events->PublishStream(&context, &response);
  while (writer->Write(View("", "i1"))) {
  }
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("field=user_id"));
}

TEST_F(StreamsTest, AStreamThatIsResetInTheMiddleHurtsNobody) {
  StartWithSnapshot();
  const auto events = Events();
  for (int i = 0; i < 20; ++i) {
    v1::PublishStreamResponse response;
    grpc::ClientContext context;
    const auto writer = events->PublishStream(&context, &response);
    for (int n = 0; n < i; ++n) {
      writer->Write(View("ann", "i1"));
    }
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::CANCELLED);
  }
  EXPECT_EQ(RecommendTo("ann").items_size(), 10);
}

TEST_F(StreamsTest, ForgetUserPublishesAndTheReportNamesWhatStillHolds) {
  StartWithSnapshot();
  const auto events = Events();
  v1::ForgetUserResponse forgotten;
  {
    grpc::ClientContext context;
    EXPECT_THAT(events->ForgetUser(&context, {}, &forgotten).error_message(), HasSubstr("user_id"));
  }
  v1::ForgetUserRequest request;
  request.set_user_id("ann");
  {
    grpc::ClientContext context;
    ASSERT_TRUE(events->ForgetUser(&context, request, &forgotten).ok());
  }
  const v1::EventPosition& position = forgotten.token().position();
  const auto records =
      world_.log.Records({world_.topics.events, PartitionId{position.partition()}}, Isolation::kUncommitted);
  v1::Event event;
  ASSERT_TRUE(event.ParseFromString(*records.back().value));
  EXPECT_EQ(event.type(), v1::FORGET);
  EXPECT_EQ(Value(records.back().offset), position.offset());
  EXPECT_EQ(forgotten.report_id(), absl::StrCat(position.partition(), ":", position.offset(), ":", world_.now_ms()));

  v1::GetForgetReportRequest ask;
  ask.set_report_id(forgotten.report_id());
  v1::GetForgetReportResponse report;
  grpc::ClientContext context;
  ASSERT_TRUE(events->GetForgetReport(&context, ask, &report).ok());
  std::vector<std::string> names;
  for (const auto& place : report.places()) {
    names.push_back(place.name());
  }
  EXPECT_THAT(names, ElementsAre("snapshot 1", "live view", "history", StartsWith("topics events")));
  EXPECT_FALSE(report.done());
  for (const char* forged : {"", "1", "1:2", "1:2:3:4", "-1:2:3", "a:b:c", "1:2:999999999999999999"}) {
    ask.set_report_id(forged);
    grpc::ClientContext another;
    EXPECT_EQ(events->GetForgetReport(&another, ask, &report).error_code(), grpc::INVALID_ARGUMENT) << forged;
  }
}

TEST(ForgetReportTest, IsDoneWhenEverySnapshotCountsItAndTheTimesHavePassed) {
  v1::Config config = DefaultConfig();
  LivePartitions live;
  live.partitions.resize(1);
  live.partitions[0].progress = ViewOrder{.applied = Offset{20}};
  live.partitions[0].highest_floor = Offset{5};
  v1::SnapshotManifest manifest;
  manifest.set_generation(3);
  manifest.add_watermarks()->set_watermark(11);
  const absl::Time forgotten = absl::FromUnixSeconds(1'700'000'000);
  const ForgetPosition forget{.position = {PartitionId{0}, Offset{10}},
                              .event_time_unix_ms = absl::ToUnixMillis(forgotten)};
  const auto names = [&](absl::Time now) {
    std::vector<std::string> result;
    const v1::GetForgetReportResponse report = ReportForgotten(forget, {manifest}, live, config, now);
    for (const auto& place : report.places()) {
      result.push_back(place.name());
    }
    EXPECT_EQ(report.done(), result.empty());
    return result;
  };
  EXPECT_THAT(names(forgotten), ElementsAre("live view, hidden", "history", StartsWith("topics")));
  live.partitions[0].highest_floor = Offset{11};
  EXPECT_THAT(names(forgotten + absl::Hours(25)), ElementsAre(StartsWith("topics")));
  EXPECT_THAT(names(forgotten + absl::Hours(169)), ElementsAre());
  manifest.mutable_watermarks(0)->set_watermark(10);
  EXPECT_THAT(names(forgotten + absl::Hours(169)), ElementsAre("snapshot 3", "history"));
}

// Reads in a thread of its own.
class WatchClient {
 public:
  WatchClient(v1::RecommendationService::Stub& stub, const v1::WatchRequest& request)
      : reader_(stub.Watch(&context_, request)), thread_([this] {
          v1::WatchResponse response;
          while (reader_->Read(&response)) {
            std::lock_guard lock(mutex_);
            lists_.push_back(response.response());
          }
          std::lock_guard lock(mutex_);
          status_ = reader_->Finish();
          ended_ = true;
        }) {}
  ~WatchClient() {
    context_.TryCancel();
    thread_.join();
  }
  size_t lists() {
    std::lock_guard lock(mutex_);
    return lists_.size();
  }
  v1::RecommendResponse last() {
    std::lock_guard lock(mutex_);
    return lists_.empty() ? v1::RecommendResponse() : lists_.back();
  }
  bool ended() {
    std::lock_guard lock(mutex_);
    return ended_;
  }
  grpc::Status status() {
    std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader_;
  std::mutex mutex_;
  std::vector<v1::RecommendResponse> lists_;
  grpc::Status status_;
  bool ended_ = false;
  std::thread thread_;
};

v1::WatchRequest WatchOf(const std::string& user) {
  v1::WatchRequest request;
  request.mutable_request()->set_user_id(user);
  return request;
}

TEST_F(StreamsTest, WatchSendsTheListAtOnceAndWheneverItChanges) {
  StartWithSnapshot();
  WatchClient ann(*recommendations_, WatchOf("ann"));
  WatchClient bob(*recommendations_, WatchOf("bob"));
  Eventually([&] { return ann.lists() == 1 && bob.lists() == 1; }, "the first lists");
  EXPECT_EQ(Ids(ann.last()), Ids(RecommendTo("ann")));
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::PURCHASE, "i3", 12)});
  world_.PutProgress(0, world_.Position(20));
  Eventually([&] { return ann.lists() == 2; }, "without what was bought");
  EXPECT_THAT(Ids(ann.last()), testing::Not(HasSubstr("i3")));
  v1::Rule rule;
  rule.set_rule_id("no-i0");
  rule.set_action(v1::HIDE);
  rule.set_item_id("i0");
  world_.Put(world_.topics.rules, rule.rule_id(), rule.SerializeAsString());
  Eventually([&] { return ann.lists() == 3 && bob.lists() == 2; }, "without what a rule hides");
  world_.WriteSnapshot(2, 10, 0, 0);
  world_.Activate(2);
  Eventually([&] { return ann.last().freshness().generation() == 2 && bob.last().freshness().generation() == 2; },
             "swap");
  EXPECT_EQ(bob.lists(), 3U);
  // Progress of somebody else changes no list.
  world_.PutProgress(1, world_.Position(20));
  AwaitApplied(1, 20);
  EXPECT_EQ(ann.lists(), 4U);
}

TEST_F(StreamsTest, WatchSendsAListThatIsFoldedInBesideWhenItIsThere) {
  world_.factors = true;
  world_.config.mutable_serving()->set_fold_in_at_once_bytes(0);
  StartWithSnapshot();
  WatchClient ann(*recommendations_, WatchOf("ann"));
  Eventually([&] { return ann.lists() == 1; }, "the first list");
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::VIEW, "i9", 12)});
  world_.PutProgress(0, world_.Position(20));
  Eventually([&] { return ann.lists() == 3; }, "the list of before, flagged, and the folded one");
  EXPECT_FALSE(Has(ann.last(), v1::FOLD_IN_PENDING));
  EXPECT_EQ(Ids(ann.last()), Ids(RecommendTo("ann")));
}

TEST_F(StreamsTest, WatchersAreLimitedCheckedAndEndedWhenTheServerStops) {
  world_.config.mutable_serving()->set_max_watchers(2);
  StartWithSnapshot();
  WatchClient first(*recommendations_, WatchOf("ann"));
  {
    WatchClient second(*recommendations_, WatchOf("ann"));
    Eventually([&] { return first.lists() == 1 && second.lists() == 1; }, "the first lists");
    WatchClient third(*recommendations_, WatchOf("ann"));
    Eventually([&] { return third.ended(); }, "refusal");
    EXPECT_EQ(third.status().error_code(), grpc::RESOURCE_EXHAUSTED);
  }
  // A place is free again.
  Eventually(
      [&] {
        WatchClient again(*recommendations_, WatchOf("ann"));
        Eventually([&] { return again.lists() == 1 || again.ended(); }, "an answer");
        return again.lists() == 1;
      },
      "a free place");
  v1::WatchRequest bad = WatchOf("ann");
  bad.mutable_request()->set_limit(101);
  WatchClient refused(*recommendations_, bad);
  Eventually([&] { return refused.ended(); }, "refusal");
  EXPECT_THAT(refused.status().error_message(), StartsWith("request.limit"));
  serving_->Stop();
  EXPECT_TRUE(first.ended());
  EXPECT_EQ(first.status().error_code(), grpc::UNAVAILABLE);
}

// A client that reads nothing: the server keeps one list for it, not all of them.
TEST_F(StreamsTest, ASlowReaderOfWatchGetsTheLatestListAndNoneInBetween) {
  StartWithSnapshot();
  grpc::ClientContext context;
  const auto reader = recommendations_->Watch(&context, WatchOf("ann"));
  v1::WatchResponse response;
  ASSERT_TRUE(reader->Read(&response));
  constexpr int kChanges = 300;
  for (int i = 1; i <= kChanges; ++i) {
    const std::string item = absl::StrCat("i", i % 9);
    world_.PutView(0, "ann", world_.Position(20 + i), {world_.FactOf(v1::PURCHASE, item, 12)});
    world_.PutProgress(0, world_.Position(20 + i));
    AwaitApplied(0, 20 + i);
  }
  const std::string expected = Ids(RecommendTo("ann"));
  int lists = 0;
  while (Ids(response.response()) != expected) {
    ASSERT_TRUE(reader->Read(&response));
    ++lists;
  }
  EXPECT_LE(lists, kChanges);
  context.TryCancel();
}

TEST_F(StreamsTest, SnapshotsAreActivatedAndRolledBackByCall) {
  StartWithSnapshot();
  world_.WriteSnapshot(2, 10, 0, 0);
  const auto admin = Admin();
  v1::ActivateSnapshotRequest request;
  v1::ActivateSnapshotResponse response;
  {
    grpc::ClientContext context;
    EXPECT_EQ(admin->ActivateSnapshot(&context, request, &response).error_code(), grpc::INVALID_ARGUMENT);
  }
  request.set_generation(9);
  {
    grpc::ClientContext context;
    EXPECT_EQ(admin->ActivateSnapshot(&context, request, &response).error_code(), grpc::NOT_FOUND);
  }
  request.set_generation(2);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin->ActivateSnapshot(&context, request, &response).ok());
  }
  EXPECT_EQ(response.previous_generation(), 1);
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 2; }, "swap");
  v1::RollbackSnapshotResponse back;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin->RollbackSnapshot(&context, {}, &back).ok());
  }
  EXPECT_EQ(back.generation(), 1);
  EXPECT_EQ(back.previous_generation(), 2);
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 1; }, "rollback");
  grpc::ClientContext context;
  EXPECT_EQ(admin->RollbackSnapshot(&context, {}, &back).error_code(), grpc::NOT_FOUND);
}

TEST_F(StreamsTest, ADrainingServerSaysSoAndAnswersOn) {
  StartWithSnapshot();
  WatchClient watcher(*recommendations_, WatchOf("ann"));
  Eventually([&] { return watcher.lists() == 1; }, "the first list");
  const auto admin = Admin();
  v1::DrainRequest request;
  v1::DrainResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin->Drain(&context, request, &response).ok());
  }
  EXPECT_EQ(response.requests_under_way(), 1);
  EXPECT_FALSE(serving_->ready());
  EXPECT_EQ(RecommendTo("ann").items_size(), 10);
  request.set_resume(true);
  grpc::ClientContext context;
  ASSERT_TRUE(admin->Drain(&context, request, &response).ok());
  EXPECT_TRUE(serving_->ready());
}

TEST(AdmissionTest, RefusesWhileTheProbeTakesLongerThanTheLimit) {
  constexpr int64_t kMs = 1'000'000;
  Admission admission(absl::Milliseconds(100));
  EXPECT_TRUE(admission.Admit(5000 * kMs).ok());
  admission.ProbeSent(6000 * kMs);
  EXPECT_TRUE(admission.Admit(6100 * kMs).ok());
  const absl::Status refused = admission.Admit(6101 * kMs);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("queue_ms=101 max_queue_ms=100"));
  admission.ProbeAnswered(6150 * kMs);
  EXPECT_TRUE(absl::IsResourceExhausted(admission.Admit(6151 * kMs)));
  admission.ProbeSent(6200 * kMs);
  admission.ProbeAnswered(6201 * kMs);
  EXPECT_TRUE(admission.Admit(6202 * kMs).ok());
}

}  // namespace
}  // namespace tributary::serving
