#include "speed_layer/floor_tracker.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/speed_layer/test_events.h"

namespace tributary::speed {
namespace {

constexpr PartitionId kPartition{0};

LogRecord Record(const v1::SnapshotAnnouncement& announcement) {
  return {.source = {"snapshots", PartitionId{0}},
          .key = absl::StrCat(announcement.generation()),
          .value = announcement.SerializeAsString()};
}

TEST(FloorTrackerTest, WithoutSnapshotsTheFloorIsZero) { EXPECT_EQ(FloorTracker().FloorOf(kPartition), Floor()); }

TEST(FloorTrackerTest, TheFloorIsTheSmallestWatermarkThatIsNotRetired) {
  FloorTracker tracker;
  ASSERT_TRUE(tracker.Apply(Record(Announcement(1, v1::ACTIVATED, 100, 11))).ok());
  ASSERT_TRUE(tracker.Apply(Record(Announcement(2, v1::RETAINED, 200, 22))).ok());
  EXPECT_EQ(tracker.FloorOf(kPartition), (Floor{Offset{100}, 11, Offset{200}}));
  ASSERT_TRUE(tracker.Apply(Record(Announcement(1, v1::RETIRED, 100, 11))).ok());
  EXPECT_EQ(tracker.FloorOf(kPartition), (Floor{Offset{200}, 22, Offset{200}}));
  EXPECT_EQ(tracker.retained(), 1u);
}

TEST(FloorTrackerTest, APartitionThatASnapshotDoesNotKnowHasWatermarkZero) {
  FloorTracker tracker;
  ASSERT_TRUE(tracker.Apply(Record(Announcement(1, v1::ACTIVATED, 100))).ok());
  EXPECT_EQ(tracker.FloorOf(PartitionId{1}).offset, Offset{0});
}

TEST(FloorTrackerTest, ATombstoneRetires) {
  FloorTracker tracker;
  ASSERT_TRUE(tracker.Apply(Record(Announcement(1, v1::RETAINED, 100))).ok());
  ASSERT_TRUE(tracker.Apply(Record(Announcement(2, v1::RETAINED, 200))).ok());
  ASSERT_TRUE(tracker.Apply({.source = {"snapshots", PartitionId{0}}, .key = "1"}).ok());
  EXPECT_EQ(tracker.FloorOf(kPartition).offset, Offset{200});
}

TEST(FloorTrackerTest, AnUnreadableRecordLeavesTheFloorAsItWas) {
  FloorTracker tracker;
  ASSERT_TRUE(tracker.Apply(Record(Announcement(1, v1::RETAINED, 100))).ok());
  ASSERT_TRUE(tracker.Apply(Record(Announcement(2, v1::RETAINED, 200))).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      tracker.Apply({.source = {"snapshots", PartitionId{0}}, .key = "1", .value = "\xff\xff"})));
  EXPECT_TRUE(absl::IsInvalidArgument(tracker.Apply(Record(Announcement(1, v1::SNAPSHOT_STATUS_UNSPECIFIED, 0)))));
  LogRecord wrong_key = Record(Announcement(1, v1::RETIRED, 0));
  wrong_key.key = "7";
  EXPECT_TRUE(absl::IsInvalidArgument(tracker.Apply(wrong_key)));
  EXPECT_EQ(tracker.FloorOf(kPartition).offset, Offset{100});
}

}  // namespace
}  // namespace tributary::speed
