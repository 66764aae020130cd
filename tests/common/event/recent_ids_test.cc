#include "common/event/recent_ids.h"

#include <limits>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/event/event.h"

namespace tributary {
namespace {

std::vector<std::pair<uint64_t, int64_t>> Entries(const RecentIds& ids) {
  std::vector<std::pair<uint64_t, int64_t>> entries;
  ids.ForEach([&](uint64_t hash, int64_t time) { entries.emplace_back(hash, time); });
  return entries;
}

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
  EXPECT_EQ(ids.size(), kDedupIds);
  EXPECT_EQ(Entries(ids).front().first, 2u) << "oldest first";
}

TEST(RecentIdsTest, ExpiredIdsAreDropped) {
  RecentIds ids;
  EXPECT_TRUE(ids.Expired(0));
  ids.Add(1, 0);
  ids.Add(2, 10);
  EXPECT_FALSE(ids.DropExpired(kDedupWindowMs));
  EXPECT_FALSE(ids.Expired(kDedupWindowMs + 10));
  EXPECT_TRUE(ids.DropExpired(kDedupWindowMs + 10));
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_TRUE(ids.Expired(kDedupWindowMs + 11));
}

TEST(RecentIdsTest, TimesComeBackAsTheyWere) {
  RecentIds ids;
  const std::vector<std::pair<uint64_t, int64_t>> added = {
      {3, 1700000000000}, {1, 1700000000000}, {2, 1700000000001}, {9, 1700000000001 + kDedupWindowMs}};
  for (const auto& [hash, time] : added) ids.Add(hash, time);
  EXPECT_EQ(Entries(ids), added);
}

TEST(RecentIdsTest, IdsThatAreWeeksOlderThanTheLatestGo) {
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  RecentIds ids;
  ids.Add(1, -5);
  ids.Add(2, 0);
  ids.Add(3, kMost);
  EXPECT_THAT(Entries(ids), testing::ElementsAre(testing::Pair(2u, 0), testing::Pair(3u, kMost)));
  ids.Add(4, std::numeric_limits<int64_t>::max());
  EXPECT_THAT(Entries(ids), testing::ElementsAre(testing::Pair(4u, std::numeric_limits<int64_t>::max())));
}

}  // namespace
}  // namespace tributary
