#include "batch_layer/schedule/late_events.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary::batch {
namespace {

struct NoMembership final : GroupMembership {};

class LateEventsTest : public testing::Test {
 protected:
  LateEventsTest() { EXPECT_TRUE(log_.CreateTopics({{.name = "late-events", .partitions = 2}}).ok()); }

  LateEvents Make(const std::string& topic = "late-events") {
    return LateEvents(
        [this]() -> absl::StatusOr<std::shared_ptr<EventLog>> {
          ++opened_;
          return std::shared_ptr<EventLog>(std::shared_ptr<EventLog>(), &log_);  // Borrowed.
        },
        topic, {Isolation::kCommitted, absl::ZeroDuration(), 3, [this] { return stopped_; }});
  }
  // In a transaction, as the speed layer copies them.
  void Come(int partition, int count) {
    auto producer = log_.OpenTransactionalProducer("speed");
    ASSERT_TRUE(producer.ok()) << producer.status();
    ASSERT_TRUE((*producer)->Begin().ok());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE((*producer)
                      ->Produce({.topic = "late-events",
                                 .partition = PartitionId{partition},
                                 .key = "u",
                                 .value = "late",
                                 .headers = {}})
                      .ok());
    }
    ASSERT_TRUE((*producer)->Commit({}, NoMembership()).ok());
  }

  FakeClock clock_;
  FakeEventLog log_{clock_};
  int opened_ = 0;
  bool stopped_ = false;
};

TEST_F(LateEventsTest, RecordsCountNotOffsets) {
  LateEvents late = Make();
  EXPECT_EQ(*late.Count(100), 0);
  for (int i = 0; i < 10; ++i) {
    Come(i % 2, 1);  // A marker each.
  }
  EXPECT_EQ(*late.Count(100), 10);
  EXPECT_EQ(*late.Count(100), 10);
  Come(0, 3);
  EXPECT_EQ(*late.Count(100), 13);
  EXPECT_EQ(opened_, 1);
}

TEST_F(LateEventsTest, CountsFromWhereTheLastRunBegan) {
  LateEvents late = Make();
  Come(0, 5);
  Come(1, 2);
  auto ends = late.Ends();
  ASSERT_TRUE(ends.ok()) << ends.status();
  Come(1, 4);
  EXPECT_EQ(*late.Count(100), 11);
  late.StartAt(*ends);
  EXPECT_EQ(*late.Count(100), 4);
  late.StartAt({{PartitionId{1}, ends->at(PartitionId{1})}});
  EXPECT_EQ(*late.Count(100), 9);  // Partition 0 from its beginning.
}

TEST_F(LateEventsTest, EnoughIsEnough) {
  LateEvents late = Make();
  Come(0, 50);
  Come(1, 50);
  const auto count = late.Count(10);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_GT(*count, 10);
  EXPECT_EQ(*late.Count(1000), 100);  // Goes on where it ended.
}

TEST_F(LateEventsTest, ATopicThatIsNotThereHasNone) {
  LateEvents late = Make("other");
  EXPECT_EQ(*late.Count(100), 0);
  EXPECT_TRUE(late.Ends()->empty());
}

TEST_F(LateEventsTest, ATopicMadeAnewCountsFromItsBeginning) {
  LateEvents late = Make();
  late.StartAt({{PartitionId{0}, Offset{1'000'000}}});
  Come(0, 5);
  EXPECT_EQ(*late.Count(100), 5);
}

TEST_F(LateEventsTest, ABrokerThatIsAwayIsAskedAnew) {
  LateEvents late = Make();
  Come(0, 5);
  log_.SetBrokerAway(true);
  EXPECT_TRUE(absl::IsUnavailable(late.Count(100).status()));
  log_.SetBrokerAway(false);
  EXPECT_EQ(*late.Count(100), 5);
  EXPECT_EQ(opened_, 2);
}

TEST_F(LateEventsTest, AStopEndsTheCounting) {
  LateEvents late = Make();
  Come(0, 5);
  stopped_ = true;
  EXPECT_TRUE(absl::IsCancelled(late.Count(100).status()));
}

}  // namespace
}  // namespace tributary::batch
