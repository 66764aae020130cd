#include <gtest/gtest.h>

#include "common/merge/policy.h"
#include "serving_layer/live_state/topic_follower.h"
#include "serving_layer/requests/recommender.h"
#include "serving_layer/snapshot_manager/snapshot_manager.h"
#include "tests/serving_layer/serving_world.h"

// When a snapshot may be served. Each of these was found by tests/simulation.
namespace tributary::serving {
namespace {

class SwapRulesTest : public ::testing::Test {
 protected:
  SwapRulesTest()
      : policy_(MergePolicy::Default()),
        follower_({.topics = world_.topics, .poll_timeout = absl::ZeroDuration()}, world_.log, world_.clock, live_,
                  context_, world_.metrics, [] {}),
        snapshots_({.snapshots_dir = world_.config.storage().snapshots_dir(), .block_cache_bytes = 1 << 20}, policy_,
                   world_.clock, live_, context_, world_.metrics),
        recommender_({.stale_after = absl::Minutes(1), .segment_size = 16}, policy_, world_.clock, live_, context_,
                     trends_, [] { return true; }) {
    EXPECT_TRUE(follower_.Start().ok());
  }

  // What both threads of the layer do.
  void Round() {
    for (int round = 0; round < 4; ++round) {
      follower_.WatchLog();
      EXPECT_TRUE(follower_.RunOnce().ok());
    }
    EXPECT_TRUE(snapshots_.RunOnce(/*floor_known=*/true).ok());
  }
  absl::Status Recommend(const std::string& user) const {
    v1::RecommendRequest request;
    request.set_user_id(user);
    v1::RecommendResponse response;
    return recommender_.Recommend(request, &response);
  }
  absl::Status Totals() const {
    v1::TotalsRequest request;
    request.set_measure(v1::OVERALL);
    v1::TotalsResponse response;
    return recommender_.Totals(request, &response);
  }

  ServingWorld world_;
  const MergePolicy policy_;
  LiveState live_;
  ContextPublisher context_;
  TopicFollower follower_;
  SnapshotManager snapshots_;
  ItemTrends trends_{live_};
  Recommender recommender_;
};

// Only the view of the user who asked used to be looked at; one that was trimmed to nothing has none.
TEST_F(SwapRulesTest, ASnapshotThatTheFloorHasPassedAnswersNobody) {
  world_.PutProgress(0, world_.Position(20, 1, 0));
  world_.WriteSnapshot(1, 10, 3, 0);
  world_.Activate(1);
  Round();
  ASSERT_EQ(snapshots_.serving(), Generation{1});
  EXPECT_TRUE(Recommend("ann").ok());
  EXPECT_TRUE(Totals().ok());
  world_.PutProgress(0, world_.Position(20, 1, 11));
  Round();
  EXPECT_TRUE(absl::IsFailedPrecondition(Recommend("ann")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Totals()));
}

TEST_F(SwapRulesTest, ARefusedSnapshotIsTriedAgainAfterTheClockJumpedBack) {
  Round();
  world_.WriteSnapshot(1, 10, 3, 0);
  world_.Activate(1);
  const std::string file = world_.config.storage().snapshots_dir() + "/1/MANIFEST.json";
  std::filesystem::rename(file, file + ".late");
  Round();
  ASSERT_EQ(snapshots_.serving(), std::nullopt);
  std::filesystem::rename(file + ".late", file);
  world_.clock.Advance(-absl::Hours(15));
  Round();
  EXPECT_EQ(snapshots_.serving(), Generation{1});
}

TEST_F(SwapRulesTest, NewPartitionsAreFoundAfterTheClockJumpedBack) {
  Round();
  world_.clock.Advance(-absl::Hours(15));
  world_.log.AddPartitions(world_.topics.speed_views, 3);
  Round();
  EpochGuard guard;
  EXPECT_EQ(live_.partitions().partitions.size(), 3u);
}

TEST_F(SwapRulesTest, ADeadSpeedLayerIsStaleThoughTheClockWasAheadOnce) {
  world_.clock.Advance(absl::Hours(15));
  Round();  // Nothing to do: caught up.
  world_.clock.Advance(-absl::Hours(15));
  Round();
  EpochGuard guard;
  EXPECT_LE(live_.partitions().partitions.at(0).caught_up, world_.clock.Now());
}

}  // namespace
}  // namespace tributary::serving
