#include "batch_layer/history/expiry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kDayMs = 24 * 3'600'000;

// A history whose times are days.
class ExpiryTest : public testing::Test {
 protected:
  ExpiryTest() { manifest_.set_segment_size(4); }

  void Add(int partition, int64_t begin, int64_t end, int64_t day, bool with_events = true) {
    v1::HistorySegment& segment = *manifest_.add_segments();
    segment.set_partition(partition);
    segment.set_begin_offset(begin);
    segment.set_end_offset(end);
    segment.set_record_time_unix_ms(day * kDayMs);
    segment.set_forgets_listed(true);
    if (with_events) {
      segment.set_file("events/f.parquet");
    }
  }
  std::vector<int> Expired(int64_t keep_days, int64_t now_day = 1'000) const {
    return ExpiredSegments(manifest_, absl::Hours(24 * keep_days), absl::UnixEpoch() + absl::Hours(24 * now_day));
  }

  v1::HistoryManifest manifest_;
};

TEST_F(ExpiryTest, WhatIsOlderThanTheNewestOfAllByMoreThanThatGoes) {
  EXPECT_THAT(Expired(10), IsEmpty());
  Add(0, 0, 8, 79);
  Add(0, 8, 16, 80, /*with_events=*/false);
  Add(0, 16, 24, 90);
  Add(0, 24, 32, 95);
  Add(1, 0, 8, 100);
  EXPECT_THAT(Expired(21), IsEmpty());
  EXPECT_THAT(Expired(20), ElementsAre(0));
  EXPECT_THAT(Expired(10), ElementsAre(0)) << "exactly ten days";
  EXPECT_THAT(Expired(9), ElementsAre(0, 2));
}

TEST_F(ExpiryTest, TheFileThatThePartitionsEndCutsASegmentInStays) {
  Add(0, 0, 6, 1);
  Add(0, 6, 8, 2);
  Add(0, 8, 9, 100);
  EXPECT_THAT(Expired(10), ElementsAre(0, 1));
  manifest_.mutable_segments(2)->set_begin_offset(7);
  manifest_.mutable_segments(2)->set_end_offset(8);
  manifest_.mutable_segments(1)->set_end_offset(7);
  EXPECT_THAT(Expired(10), ElementsAre(0, 1)) << "the end cuts none";
  manifest_.mutable_segments(2)->set_end_offset(7);
  EXPECT_THAT(Expired(10), IsEmpty()) << "segment 4 to 8 lies in both";
  v1::HistoryGap& gap = *manifest_.add_gaps();
  gap.set_begin_offset(7);
  gap.set_end_offset(21);
  EXPECT_THAT(Expired(10), ElementsAre(0, 1)) << "a gap moves the end";
}

TEST_F(ExpiryTest, IdsThatRefuseRepeatsOnASilentPartitionStay) {
  Add(0, 0, 8, 9);
  Add(0, 8, 16, 10);
  Add(0, 16, 24, 10);
  Add(1, 0, 8, 100);
  EXPECT_THAT(Expired(5), IsEmpty()) << "the end of partition 0 is of day 10";
  manifest_.mutable_segments(0)->set_record_time_unix_ms(9 * kDayMs - 1);
  EXPECT_THAT(Expired(5), ElementsAre(0));
}

TEST_F(ExpiryTest, ImportsGoByTheirEventsAndBesideATopicByTheTopic) {
  Add(-1, 0, 8, 10);
  Add(-1, 8, 9, 100);
  EXPECT_THAT(Expired(80), ElementsAre(0));
  EXPECT_THAT(Expired(95), IsEmpty());
  Add(0, 0, 4, 50);
  EXPECT_THAT(Expired(45), IsEmpty());
  EXPECT_THAT(Expired(30), ElementsAre(0)) << "a row may name any time, a broker does not";
}

TEST_F(ExpiryTest, NeitherAClockThatIsAheadNorARowThatIsRemovesWhatIsYoung) {
  Add(-1, 0, 8, 10);
  Add(-1, 8, 9, 5'000);
  EXPECT_THAT(Expired(15, /*now_day=*/20), IsEmpty());
  EXPECT_THAT(Expired(15, /*now_day=*/26), ElementsAre(0));
  Add(0, 0, 4, 20);
  EXPECT_THAT(Expired(15, /*now_day=*/30'000), IsEmpty());
}

TEST_F(ExpiryTest, AFileWhoseForgetsNobodyHasListedStays) {
  Add(-1, 0, 8, 10);
  Add(-1, 8, 9, 100);
  manifest_.mutable_segments(0)->set_forgets_listed(false);
  EXPECT_THAT(Expired(20), IsEmpty());
}

}  // namespace
}  // namespace tributary::batch
