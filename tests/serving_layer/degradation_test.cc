// What answers say when a part is missing, late or damaged.
#include <fstream>

#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using DegradationTest = ServingLayerTest;

TEST_F(DegradationTest, ASnapshotOfANewerFormatIsRefusedAndTheOldOneServes) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.WriteSnapshot(2, 10, 0, 0);
  const std::string dir = world_.config.storage().snapshots_dir();
  std::ofstream(dir + "/2/MANIFEST.json") << R"({"formatVersion": 7, "generation": "2", "shards": [{"a": 1}]})";
  // As a newer build activates it: this one would not.
  std::ofstream(dir + "/CURRENT.new") << "2\n";
  std::filesystem::rename(dir + "/CURRENT.new", dir + "/CURRENT");
  std::string refused;
  Eventually(
      [&] {
        const v1::ListSnapshotsResponse listed = ListSnapshots();
        for (const auto& snapshot : listed.snapshots()) {
          if (snapshot.manifest().generation() == 2) {
            refused = snapshot.refused();
          }
        }
        return !refused.empty();
      },
      "the refusal");
  EXPECT_THAT(refused, AllOf(HasSubstr("newer format"), HasSubstr("format_version=7")));
  EXPECT_EQ(RecommendTo("ann").freshness().generation(), 1);
  EXPECT_TRUE(serving_->ready());
}

TEST_F(DegradationTest, ASpeedLayerThatStaysBehindTheEventsIsStaleAfterTheLimit) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::VIEW, "i3", 11)});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  world_.FillEvents(0, 30);
  world_.clock.Advance(absl::Seconds(world_.config.serving().stale_after_seconds()));
  EXPECT_FALSE(Has(RecommendTo("ann"), v1::SPEED_LAYER_STALE));
  world_.clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(Has(RecommendTo("ann"), v1::SPEED_LAYER_STALE));
  world_.PutProgress(0, world_.Position(30));
  Eventually([&] { return !Has(RecommendTo("ann"), v1::SPEED_LAYER_STALE); }, "an end of staleness");
}

TEST_F(DegradationTest, EventsLostAboveWAreAHoleUntilASnapshotHasCountedThem) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.WriteSnapshot(2, 15, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::VIEW, "i3", 16)});
  v1::Progress progress;
  *progress.mutable_position() = world_.Position(20);
  progress.set_gap_end_offset(15);
  world_.PutProgress(0, progress);
  AwaitApplied(0, 20);
  EXPECT_TRUE(Has(RecommendTo("ann"), v1::HISTORY_HOLE));
  world_.Activate(2);
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 2; }, "generation 2");
  EXPECT_FALSE(Has(RecommendTo("ann"), v1::HISTORY_HOLE));
}

TEST_F(DegradationTest, AUserOverTheLimitOfFactsIsFlagged) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  v1::SpeedView view;
  *view.mutable_position() = world_.Position(20);
  *view.add_facts() = world_.FactOf(v1::VIEW, "i3", 11);
  view.set_truncated(true);
  world_.Put(world_.topics.speed_views, "ann", view.SerializeAsString());
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  EXPECT_TRUE(Has(RecommendTo("ann"), v1::TRUNCATED_USER));
  EXPECT_FALSE(Has(RecommendTo("bob"), v1::TRUNCATED_USER));
}

TEST_F(DegradationTest, ErasingASegmentThatWIsPastChangesNoTotal) {
  world_.WriteSnapshot(1, 20, 8, 2);
  world_.Activate(1);
  world_.PutCounts(0, 0, world_.Position(24), 6);
  world_.PutCounts(0, 16, world_.Position(24), 5);
  world_.PutProgress(0, world_.Position(24));
  StartReady();
  AwaitApplied(0, 24);
  EXPECT_EQ(Purchases(), 8 + 5 - 2);
  world_.PutCountsTombstone(0, 0, world_.Position(25));
  world_.PutProgress(0, world_.Position(25));
  AwaitApplied(0, 25);
  EXPECT_EQ(Purchases(), 8 + 5 - 2);
}

TEST_F(DegradationTest, ARecreatedTopicOfEventsStopsTheLayer) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  EXPECT_TRUE(serving_->failure().ok());
  world_.log.RecreateTopic(world_.topics.events);
  world_.clock.Advance(absl::Seconds(2));
  Eventually([&] { return failed_.load(); }, "the failure");
  EXPECT_EQ(serving_->failure().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(serving_->failure().message(),
              AllOf(HasSubstr("recreated"), HasSubstr("end=0 counted_up_to=10 generation=1")));
  EXPECT_FALSE(serving_->ready());
  serving_->Stop();
}

TEST_F(DegradationTest, AnActivatedSnapshotOfALostTopicNeverMakesItReady) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  world_.log.RecreateTopic(world_.topics.events);
  Start();
  Eventually([&] { return failed_.load(); }, "the failure");
  EXPECT_FALSE(serving_->ready());
}

}  // namespace
}  // namespace tributary::serving
