#include "common/event/recent_ids.h"

#include <gtest/gtest.h>

#include "common/event/event.h"

namespace tributary {
namespace {

TEST(RecentIdsTest, NoIdIsNeverADuplicate) {
  RecentIds ids;
  ids.Add(0, 0);
  EXPECT_FALSE(ids.Contains(0, 0));
  EXPECT_TRUE(ids.empty());
}

TEST(RecentIdsTest, AnIdCountsForExactlyTwentyFourHours) {
  RecentIds ids;
  ids.Add(7, 1000);
  EXPECT_TRUE(ids.Contains(7, 1000));
  EXPECT_TRUE(ids.Contains(7, 1000 + kDedupWindowMs));
  EXPECT_FALSE(ids.Contains(7, 1001 + kDedupWindowMs));
  EXPECT_FALSE(ids.Contains(8, 1000));
}

TEST(RecentIdsTest, OnlyTheLastSixtyFourCount) {
  RecentIds ids;
  for (uint64_t id = 1; id <= kDedupIds; ++id) ids.Add(id, 0);
  EXPECT_TRUE(ids.Contains(1, 0));
  ids.Add(1000, 0);
  EXPECT_FALSE(ids.Contains(1, 0));
  EXPECT_TRUE(ids.Contains(2, 0));
  EXPECT_EQ(ids.entries().size(), kDedupIds);
  EXPECT_EQ(ids.entries().front().hash, 2u) << "oldest first";
}

TEST(RecentIdsTest, ExpiredIdsAreDropped) {
  RecentIds ids;
  EXPECT_TRUE(ids.Expired(0));
  ids.Add(1, 0);
  ids.Add(2, 10);
  EXPECT_FALSE(ids.DropExpired(kDedupWindowMs));
  EXPECT_FALSE(ids.Expired(kDedupWindowMs + 10));
  EXPECT_TRUE(ids.DropExpired(kDedupWindowMs + 10));
  EXPECT_EQ(ids.entries().size(), 1u);
  EXPECT_TRUE(ids.Expired(kDedupWindowMs + 11));
}

}  // namespace
}  // namespace tributary
