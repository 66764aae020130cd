#include "serving_layer/cli/replay.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kFirst = 1'600'000'000;
const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

v1::Event EventAt(int64_t seconds, const std::string& user) {
  v1::Event event;
  event.set_user_id(user);
  event.set_type(v1::VIEW);
  event.set_item_id("a");
  event.mutable_event_time()->set_seconds(seconds);
  return event;
}

TEST(PlanReplayTest, SortsByTimeAndDividesBySpeed) {
  const auto planned =
      PlanReplay({EventAt(kFirst + 100, "late"), EventAt(kFirst, "first")}, {.speed = 10}, kStart);
  ASSERT_TRUE(planned.ok()) << planned.status();
  ASSERT_EQ(planned->size(), 2u);
  EXPECT_EQ((*planned)[0].event.user_id(), "first");
  EXPECT_EQ((*planned)[0].due, absl::ZeroDuration());
  EXPECT_EQ((*planned)[1].due, absl::Seconds(10));
  EXPECT_EQ((*planned)[1].event.event_time().seconds(), kFirst + 100);
}

TEST(PlanReplayTest, ShiftedEventsHappenWhenTheyAreSent) {
  const auto planned = PlanReplay({EventAt(kFirst, "u"), EventAt(kFirst + 100, "u")},
                                  {.speed = 10, .shift_to_now = true}, kStart);
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ((*planned)[0].event.event_time().seconds(), absl::ToUnixSeconds(kStart));
  EXPECT_EQ((*planned)[1].event.event_time().seconds(), absl::ToUnixSeconds(kStart) + 10);
}

TEST(PlanReplayTest, AtFullSpeedTheLastShiftedEventIsNow) {
  const auto planned = PlanReplay({EventAt(kFirst, "u"), EventAt(kFirst + 100, "u")},
                                  {.speed = 0, .shift_to_now = true}, kStart);
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ((*planned)[0].event.event_time().seconds(), absl::ToUnixSeconds(kStart) - 100);
  EXPECT_EQ((*planned)[1].event.event_time().seconds(), absl::ToUnixSeconds(kStart));
  EXPECT_EQ((*planned)[1].due, absl::ZeroDuration());
}

TEST(PlanReplayTest, NamesTheEventAndFieldThatWouldBeRefused) {
  v1::Event bad = EventAt(kFirst, "u");
  bad.clear_item_id();
  const auto planned = PlanReplay({EventAt(kFirst, "u"), bad}, {}, kStart);
  EXPECT_EQ(planned.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(planned.status().message()), HasSubstr("event=2 field=item_id"));
}

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() { EXPECT_TRUE(log.CreateTopics({{.name = "events", .partitions = 1}}).ok()); }
  absl::StatusOr<int64_t> Run(double speed) {
    const ReplayOptions options{.topic = "events", .speed = speed};
    const auto planned = PlanReplay({EventAt(kFirst, "u"), EventAt(kFirst + 5, "v")}, options, kStart);
    return Replay(planned.value(), options, kStart, log, [&](absl::Time time) { waited.push_back(time); },
                  [](int64_t) {});
  }
  FakeClock clock;
  FakeEventLog log{clock};
  std::vector<absl::Time> waited;
};

TEST_F(ReplayTest, SendsEachEventWhenItIsDueKeyedByUser) {
  EXPECT_EQ(Run(1).value(), 2);
  EXPECT_THAT(waited, ElementsAre(kStart, kStart + absl::Seconds(5)));
  std::vector<std::string> keys;
  for (const LogRecord& record : log.Records({"events", PartitionId{0}}, Isolation::kCommitted)) {
    v1::Event event;
    ASSERT_TRUE(event.ParseFromString(record.value.value()));
    EXPECT_EQ(event.user_id(), record.key);
    keys.push_back(record.key);
  }
  EXPECT_THAT(keys, ElementsAre("u", "v"));
}

TEST_F(ReplayTest, AtFullSpeedNothingIsWaitedFor) {
  EXPECT_EQ(Run(0).value(), 2);
  EXPECT_TRUE(waited.empty());
}

TEST_F(ReplayTest, AFailureOfTheLogIsTheAnswer) {
  log.FailNext(FakeEventLog::Operation::kFlush, 1, absl::UnavailableError("broker is away"));
  EXPECT_EQ(Run(0).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tributary::serving
