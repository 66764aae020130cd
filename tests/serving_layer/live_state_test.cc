#include "serving_layer/live_state/live_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "serving_layer/live_state/topic_follower.h"
#include "tests/serving_layer/serving_world.h"

namespace tributary::serving {
namespace {

class LiveStateTest : public ::testing::Test {
 protected:
  LiveStateTest()
      : follower_({.topics = world_.topics, .poll_timeout = absl::ZeroDuration()}, world_.log, world_.clock, live_, context_,
                  world_.metrics, [this] { ++published_; }) {}

  absl::Status Round() {
    follower_.WatchLog();
    return follower_.RunOnce();
  }
  void Follow() {
    for (int round = 0; round < 4; ++round) {
      const absl::Status status = Round();
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  // Of partition 0, at offset 20.
  void FollowProgress(int64_t floor, int64_t record_time_unix_ms) {
    v1::Progress message;
    *message.mutable_position() = world_.Position(20, 1, floor);
    message.set_record_time_unix_ms(record_time_unix_ms);
    world_.PutProgress(0, message);
    Follow();
  }
  // Items of the facts of ann on one partition; "-" without a view.
  std::string Items(int partition = 0) const {
    EpochGuard guard;
    const LiveUserViews* user = live_.FindUser("ann");
    for (size_t i = 0; user != nullptr && i < user->views.size(); ++i) {
      if (Value(user->views[i]->partition) == partition) {
        std::string items;
        for (const Fact& fact : user->views[i]->facts) {
          items += fact.item_id;
        }
        return items;
      }
    }
    return "-";
  }
  int64_t Applied(int partition) const {
    EpochGuard guard;
    return Value(live_.partitions().partitions.at(partition).applied());
  }

  ServingWorld world_;
  LiveState live_;
  ContextPublisher context_;
  TopicFollower follower_;
  int published_ = 0;
};

TEST_F(LiveStateTest, TakesOnlyWhatIsGreaterByOffsetThenGroupGenerationThenFloor) {
  ASSERT_TRUE(follower_.Start().ok());
  const auto put = [&](const v1::ViewPosition& position, const std::string& item) {
    world_.PutView(0, "ann", position, {world_.FactOf(v1::VIEW, item, 5)});
    Follow();
    return Items();
  };
  EXPECT_EQ(put(world_.Position(10, 3, 2), "a"), "a");
  EXPECT_EQ(put(world_.Position(9, 9, 9), "b"), "a");    // Older events.
  EXPECT_EQ(put(world_.Position(10, 2, 9), "c"), "a");   // A fenced instance.
  EXPECT_EQ(put(world_.Position(10, 3, 2), "d"), "a");   // The same again.
  EXPECT_EQ(put(world_.Position(10, 3, 4), "e"), "e");
  EXPECT_EQ(put(world_.Position(10, 4, 0), "f"), "f");
  EXPECT_EQ(put(world_.Position(11, 1, 0), "g"), "g");
}

TEST_F(LiveStateTest, ATombstoneRemovesTheViewAndNothingOlderComesBack) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.PutView(0, "ann", world_.Position(10), {world_.FactOf(v1::VIEW, "a", 5)});
  world_.PutTombstone(0, "ann", world_.Position(9));
  Follow();
  EXPECT_EQ(Items(), "a");  // The tombstone was the older one.
  world_.PutTombstone(0, "ann", world_.Position(20));
  world_.PutView(0, "ann", world_.Position(15), {world_.FactOf(v1::VIEW, "b", 6)});
  Follow();
  EXPECT_EQ(Items(), "");
  // Its position is forgotten once nothing older can come.
  world_.clock.Advance(absl::Hours(1));
  world_.PutProgress(0, world_.Position(21));
  Follow();
  EXPECT_EQ(live_.user_count(), 0U);
}

TEST_F(LiveStateTest, ATombstoneErasesASegmentUnlessItIsOlder) {
  ASSERT_TRUE(follower_.Start().ok());
  const auto segments = [&] {
    Follow();
    EpochGuard guard;
    std::string starts;
    for (const auto& [start, counts] : *live_.partitions().partitions.at(0).segments) {
      absl::StrAppend(&starts, Value(start), " ");
    }
    return starts;
  };
  world_.PutCounts(0, 0, world_.Position(20), 6);
  world_.PutCounts(0, 16, world_.Position(20), 4);
  EXPECT_EQ(segments(), "0 16 ");
  world_.PutCountsTombstone(0, 0, world_.Position(19));
  EXPECT_EQ(segments(), "0 16 ");
  world_.PutCountsTombstone(0, 0, world_.Position(21));
  EXPECT_EQ(segments(), "16 ");
}

TEST_F(LiveStateTest, WhatTheSpeedLayerWouldNotKeepGoesWithoutATombstone) {
  // The broker compacted the tombstones away before this replica read them, or the view was never committed at all.
  ASSERT_TRUE(follower_.Start().ok());
  constexpr int64_t kDayMs = 24LL * 3600 * 1000;
  v1::Fact fact = world_.FactOf(v1::VIEW, "a", 5);
  fact.set_record_time_unix_ms(world_.now_ms());
  world_.PutView(0, "ann", world_.Position(10), {fact});
  world_.PutCounts(0, 0, world_.Position(10), 6);
  const auto progress = [&](int64_t floor, int64_t record_time_unix_ms) {
    FollowProgress(floor, record_time_unix_ms);
    EpochGuard guard;
    return absl::StrCat(Items(), " ", live_.partitions().partitions.at(0).segments->size());
  };
  EXPECT_EQ(progress(5, world_.now_ms() + kDayMs + 1), "a 1");   // Above the floor.
  EXPECT_EQ(progress(10, world_.now_ms() + kDayMs), "a 0");      // Below, but recent; these counts have no record time.
  EXPECT_EQ(progress(10, world_.now_ms() + kDayMs + 1), " 0");
  world_.clock.Advance(absl::Hours(1));
  EXPECT_EQ(progress(10, world_.now_ms() + kDayMs), "- 0");      // Nothing older can come any more.
  EXPECT_EQ(live_.user_count(), 0U);
}

TEST_F(LiveStateTest, ImpressionsOfTheLastDayKeepAViewWhateverTheFloor) {
  ASSERT_TRUE(follower_.Start().ok());
  constexpr int64_t kDayMs = 24LL * 3600 * 1000;
  v1::Fact shown = world_.FactOf(v1::IMPRESSION, "a", 5);
  shown.set_record_time_unix_ms(world_.now_ms());
  world_.PutView(0, "ann", world_.Position(10, 1, 0), {shown});
  const auto items = [&](int64_t floor, int64_t record_time_unix_ms) {
    FollowProgress(floor, record_time_unix_ms);
    EpochGuard guard;
    return live_.FindUser("ann")->views.at(0)->impressions.size();
  };
  EXPECT_EQ(items(10, world_.now_ms() + kDayMs), 1U);
  EXPECT_EQ(items(10, world_.now_ms() + kDayMs + 1), 0U);
}

TEST_F(LiveStateTest, TheFloorOfAnAbortedTransactionIsKept) {
  // Views were trimmed to it, or let go of.
  ASSERT_TRUE(follower_.Start().ok());
  world_.PutProgress(0, world_.Position(10, 1, 5));
  world_.PutProgress(0, world_.Position(12, 1, 0));
  Follow();
  EpochGuard guard;
  EXPECT_EQ(Value(live_.partitions().partitions.at(0).floor()), 5);
}

TEST_F(LiveStateTest, WhatATombstoneLetGoOfIsBelowTheFloorThoughItsProgressNeverComes) {
  ASSERT_TRUE(follower_.Start().ok());
  const auto floor = [&](int partition) {
    Follow();
    EpochGuard guard;
    return Value(live_.partitions().partitions.at(static_cast<size_t>(partition)).floor());
  };
  world_.PutView(0, "ann", world_.Position(10), {world_.FactOf(v1::VIEW, "a", 5)});
  world_.PutTombstone(0, "ann", world_.Position(10, 1, 6));
  EXPECT_EQ(floor(0), 0);   // Of this user alone: the empty view has it.
  EXPECT_EQ(Items(), "");
  world_.clock.Advance(absl::Hours(1));
  world_.PutProgress(1, world_.Position(1));   // The time of another partition says nothing of what is still to come of this.
  Follow();
  EXPECT_EQ(Items(), "");
  world_.PutProgress(0, world_.Position(10));
  EXPECT_EQ(floor(0), 6);
  EXPECT_EQ(Items(), "-");

  world_.PutCounts(1, 0, world_.Position(20), 6);
  world_.PutCountsTombstone(1, 0, world_.Position(21, 1, 18));
  EXPECT_EQ(floor(1), 18);
}

TEST_F(LiveStateTest, AViewThatFadedBelowTheHighestFloorSaysSo) {
  ASSERT_TRUE(follower_.Start().ok());
  v1::Fact fact = world_.FactOf(v1::VIEW, "a", 5);
  fact.set_record_time_unix_ms(world_.now_ms());
  world_.PutView(0, "ann", world_.Position(10), {fact});
  for (const int64_t floor : {6, 0}) {   // The instance that trimmed lost its transaction; its successor does not know yet.
    v1::Progress progress;
    *progress.mutable_position() = world_.Position(20, floor == 0 ? 2 : 1, floor);
    progress.set_record_time_unix_ms(world_.now_ms() + absl::ToInt64Milliseconds(absl::Hours(25)));
    world_.PutProgress(0, progress);
  }
  Follow();
  EXPECT_EQ(Items(), "");
  EpochGuard guard;
  EXPECT_EQ(Value(live_.FindUser("ann")->views.at(0)->order.floor), 6);
}

TEST_F(LiveStateTest, ATombstoneOutlivesAnOlderOneOfTheSameUser) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.PutTombstone(0, "ann", world_.Position(10));
  Follow();
  world_.clock.Advance(absl::Minutes(9));
  world_.PutTombstone(0, "ann", world_.Position(20));
  Follow();
  world_.clock.Advance(absl::Minutes(9));
  world_.PutView(0, "ann", world_.Position(15), {world_.FactOf(v1::VIEW, "b", 6)});
  Follow();
  EXPECT_EQ(Items(), "");
}

TEST_F(LiveStateTest, ATopicOfEventsThatEndsBelowProgressWasRecreated) {
  world_.PutProgress(0, world_.Position(20));
  ASSERT_TRUE(follower_.Start().ok());
  Follow();
  EXPECT_TRUE(follower_.ready());
  world_.log.RecreateTopic(world_.topics.events);
  world_.FillEvents(0, 19);
  world_.clock.Advance(absl::Seconds(2));
  const absl::Status status = Round();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("topic=events partition=0 end=19 counted_up_to=20"));
  world_.FillEvents(0, 30);
  EXPECT_FALSE(Round().ok()) << "for good: the offsets have lost their meaning";
}

TEST_F(LiveStateTest, ATopicThatWasRecreatedBeforeTheStartIsNeverReady) {
  world_.PutProgress(0, world_.Position(20));
  world_.log.RecreateTopic(world_.topics.events);
  ASSERT_TRUE(follower_.Start().ok());
  absl::Status status;
  for (int round = 0; round < 4 && status.ok(); ++round) {
    status = Round();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(follower_.ready());
}

TEST_F(LiveStateTest, AViewOfATransactionThatAbortsIsTakenAndSupersededByTheNext) {
  ASSERT_TRUE(follower_.Start().ok());
  auto producer = *world_.log.OpenTransactionalProducer("speed-0");
  ASSERT_TRUE(producer->Begin().ok());
  v1::SpeedView view;
  *view.mutable_position() = world_.Position(10, 1);
  *view.add_facts() = world_.FactOf(v1::VIEW, "a", 5);
  ASSERT_TRUE(producer
                  ->Produce({.topic = world_.topics.speed_views,
                             .partition = PartitionId{0},
                             .key = "ann",
                             .value = view.SerializeAsString(),
                             .headers = {}})
                  .ok());
  Follow();
  EXPECT_EQ(Items(), "a");  // Not committed yet: visible all the same.
  ASSERT_TRUE(producer->Abort().ok());
  world_.PutView(0, "ann", world_.Position(10, 2), {world_.FactOf(v1::VIEW, "a", 5)});
  Follow();
  EXPECT_EQ(Items(), "a");
}

TEST_F(LiveStateTest, AUserOnTwoPartitionsHasAViewOnEach) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.PutView(1, "ann", world_.Position(3), {world_.FactOf(v1::VIEW, "b", 1)});
  world_.PutView(0, "ann", world_.Position(9), {world_.FactOf(v1::VIEW, "a", 1)});
  Follow();
  EXPECT_EQ(Items(0), "a");
  EXPECT_EQ(Items(1), "b");
}

TEST_F(LiveStateTest, FollowsPartitionsThatAreAddedLater) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.log.AddPartitions(world_.topics.speed_views, 3);
  world_.PutProgress(2, world_.Position(7));
  world_.clock.Advance(absl::Seconds(2));
  Follow();
  EXPECT_EQ(Applied(2), 7);
}

TEST_F(LiveStateTest, IsReadyOnlyAfterTheEndsThatWereSeenAtStart) {
  world_.PutProgress(0, world_.Position(1));
  world_.PutView(1, "ann", world_.Position(3), {world_.FactOf(v1::VIEW, "b", 1)});
  ASSERT_TRUE(follower_.Start().ok());
  EXPECT_FALSE(follower_.ready());
  world_.log.HoldPartition({world_.topics.speed_views, PartitionId{1}});
  Follow();
  EXPECT_FALSE(follower_.ready());
  world_.log.ReleasePartition({world_.topics.speed_views, PartitionId{1}});
  Follow();
  EXPECT_TRUE(follower_.ready());
  EXPECT_EQ(Items(1), "b");
}

TEST_F(LiveStateTest, BecomesReadyThoughTheLastQuestionBeforeThatWasNotAnsweredOrNotTaken) {
  world_.PutProgress(0, world_.Position(0));
  ASSERT_TRUE(follower_.Start().ok());
  ASSERT_TRUE(Round().ok());   // To the end: it is about to ask.
  follower_.WatchLog();
  world_.clock.Advance(absl::Minutes(1));
  follower_.WatchLog();        // Asks by itself; nobody took the answer before.
  world_.log.AddPartitions(world_.topics.speed_views, 9);
  world_.clock.Advance(absl::Minutes(1));
  follower_.WatchLog();
  world_.log.FailNext(FakeEventLog::Operation::kAdmin, 1, absl::UnavailableError("away"));
  ASSERT_TRUE(follower_.RunOnce().ok());
  EXPECT_FALSE(follower_.ready());
  Follow();
  EXPECT_TRUE(follower_.ready());
}

TEST_F(LiveStateTest, UnreadableRecordsAreSkippedAndTheirNeighboursTaken) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.Put(world_.topics.speed_views, "ann", "\xff\xff\xff");
  world_.Put(world_.topics.live_counts, "no number", "x");
  world_.Put(world_.topics.items, "i1", R"({"itemId": "i1", "colour": "red"})");
  world_.PutView(0, "ann", world_.Position(10), {world_.FactOf(v1::VIEW, "a", 5)});
  Follow();
  EXPECT_EQ(Items(), "a");
  EXPECT_EQ(world_.metrics.AddCounter("tributary_serving_unreadable_records_total", "").value(), 3);
}

TEST_F(LiveStateTest, WhileTheLogIsAwayTheLastStateStays) {
  ASSERT_TRUE(follower_.Start().ok());
  world_.PutView(0, "ann", world_.Position(10), {world_.FactOf(v1::VIEW, "a", 5)});
  Follow();
  world_.log.SetBrokerAway(true);
  Follow();
  EXPECT_FALSE(follower_.log_reachable());
  EXPECT_EQ(Items(), "a");
  world_.log.SetBrokerAway(false);
  world_.clock.Advance(absl::Seconds(2));
  Follow();
  EXPECT_TRUE(follower_.log_reachable());
}

}  // namespace
}  // namespace tributary::serving
