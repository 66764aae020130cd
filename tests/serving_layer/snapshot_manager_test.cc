#include "serving_layer/snapshot_manager/snapshot_manager.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "serving_layer/live_state/topic_follower.h"
#include "tests/serving_layer/serving_world.h"

namespace tributary::serving {
namespace {

class SnapshotManagerTest : public ::testing::Test {
 protected:
  SnapshotManagerTest()
      : policy_(*MergePolicy::FromProto(world_.config.merge())),
        manager_({.snapshots_dir = world_.config.storage().snapshots_dir()}, policy_, world_.clock, live_, context_,
                 world_.metrics) {
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.Activate(1);
  }

  std::filesystem::path FileOf(const std::string& name) const {
    return absl::StrCat(world_.config.storage().snapshots_dir(), "/1/", name);
  }
  void Truncate(const std::string& name) { std::filesystem::resize_file(FileOf(name), 1); }
  // Attempts to load, of those that looks at CURRENT once a second led to.
  int AttemptsWithin(absl::Duration duration) {
    const double before = refusals_.value();
    for (; duration > absl::ZeroDuration(); duration -= absl::Seconds(1)) {
      world_.clock.Advance(absl::Seconds(1));
      EXPECT_TRUE(manager_.RunOnce(/*floor_known=*/true).ok());
    }
    return static_cast<int>(refusals_.value() - before);
  }

  ServingWorld world_;
  const MergePolicy policy_;
  LiveState live_;
  ContextPublisher context_;
  SnapshotManager manager_;
  Counter& refusals_ = world_.metrics.AddCounter("tributary_serving_snapshot_refusals_total", "");
};

TEST_F(SnapshotManagerTest, ARefusedSnapshotIsReadAgainLessAndLessOften) {
  Truncate("items.bin");
  EXPECT_EQ(AttemptsWithin(absl::Seconds(1)), 1);
  EXPECT_EQ(AttemptsWithin(absl::Seconds(10)), 1);
  EXPECT_EQ(AttemptsWithin(absl::Seconds(19)), 0);
  EXPECT_EQ(AttemptsWithin(absl::Seconds(1)), 1);
  AttemptsWithin(absl::Seconds(40 + 60));
  EXPECT_EQ(AttemptsWithin(absl::Minutes(10)), 10);
}

TEST_F(SnapshotManagerTest, ARefusedSnapshotServesWhenItsFilesAreWhole) {
  const std::filesystem::path whole = FileOf("items.bin");
  const std::filesystem::path aside = FileOf("items.aside");
  std::filesystem::rename(whole, aside);
  EXPECT_EQ(AttemptsWithin(absl::Minutes(30)), 32);
  EXPECT_FALSE(manager_.serving());
  std::filesystem::rename(aside, whole);
  EXPECT_EQ(AttemptsWithin(absl::Minutes(1)), 0);
  EXPECT_EQ(manager_.serving(), Generation{1});
}

TEST_F(SnapshotManagerTest, AnotherReasonIsFollowedClosely) {
  Truncate("items.bin");
  AttemptsWithin(absl::Seconds(1 + 10 + 20));
  Truncate("MANIFEST.json");
  AttemptsWithin(absl::Seconds(40));
  EXPECT_EQ(AttemptsWithin(absl::Seconds(10)), 1);
}

TEST_F(SnapshotManagerTest, UntilTheFloorIsKnownItIsLoadedAndNotServed) {
  EXPECT_TRUE(manager_.RunOnce(/*floor_known=*/false).ok());
  EXPECT_FALSE(manager_.serving());
  EXPECT_EQ(refusals_.value(), 0);
  std::filesystem::remove(FileOf("items.bin"));
  EXPECT_TRUE(manager_.RunOnce(/*floor_known=*/true).ok());
  EXPECT_EQ(manager_.serving(), Generation{1}) << "what was loaded serves";
}

TEST_F(SnapshotManagerTest, AFloorThatIsLearntAfterLoadingIsHeldAgainstIt) {
  EXPECT_TRUE(manager_.RunOnce(/*floor_known=*/false).ok());
  world_.PutProgress(0, world_.Position(20, 1, /*floor=*/15));
  TopicFollower follower({.topics = world_.topics, .poll_timeout = absl::ZeroDuration()}, world_.log, world_.clock, live_, context_,
                         world_.metrics, [] {});
  ASSERT_TRUE(follower.Start().ok());
  while (!follower.ready()) {
    follower.WatchLog();
    ASSERT_TRUE(follower.RunOnce().ok());
  }
  EXPECT_TRUE(manager_.RunOnce(/*floor_known=*/true).ok());
  EXPECT_FALSE(manager_.serving());
  EXPECT_EQ(refusals_.value(), 1);
}

}  // namespace
}  // namespace tributary::serving
