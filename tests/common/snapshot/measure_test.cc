#include "common/snapshot/measure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "tests/common/snapshot/shop.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

class MeasureTest : public testing::Test {
 protected:
  void Write(int64_t generation, const sample::Shop& shop) {
    const absl::Status written = sample::WriteShop(dir_.path(), Generation{generation}, shop);
    ASSERT_TRUE(written.ok()) << written;
  }
  std::unique_ptr<SnapshotReader> Open(int64_t generation) {
    auto reader = SnapshotReader::Open(dir_.path(), Generation{generation}, SnapshotReader::Verify::kManifest, 1 << 20);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }

  const TempDir dir_;
};

TEST_F(MeasureTest, MeasuresWhatListsHoldInTheirFirstPlaces) {
  Write(1, {.users = 10, .items = 30, .unlisted = 2, .empty = 3});
  const auto measures = MeasureSnapshot(*Open(1));
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_EQ(measures->users, 10);
  EXPECT_EQ(measures->listed_users, 5);
  EXPECT_EQ(measures->empty_lists, 3);
  EXPECT_EQ(measures->listed_items, kMeasuredDepth);
  EXPECT_EQ(measures->popular_items, 30);
  EXPECT_GT(measures->size_bytes, 0);
}

// 40 items, the order turned by 5: 15 of the first 20 stay. New numbers of the same items are no churn.
TEST_F(MeasureTest, ChurnIsOfItemIdsInTheFirstPlaces) {
  Write(1, {.items = 40});
  Write(2, {.items = 40, .shift = 5});
  Write(3, {.items = 20, .shift = 7});
  Write(4, {.items = 20, .shift = 3});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_NEAR(churn->lists, 0.25, 1e-9);
  EXPECT_NEAR(churn->popular, 0.25, 1e-9);
  const auto turned = MeasureChurn(*Open(4), *Open(3));
  ASSERT_TRUE(turned.ok()) << turned.status();
  EXPECT_EQ(turned->lists, 0);
}

TEST_F(MeasureTest, ChurnOfManyUsersIsSampled) {
  Write(1, {.users = 9000});
  Write(2, {.users = 9000, .unlisted = 4500});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_NEAR(churn->lists, 0.5, 0.05);
}

TEST_F(MeasureTest, UsersWithoutAListBeforeSayNothing) {
  Write(1, {.unlisted = 300});
  Write(2, {});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_TRUE(std::isnan(churn->lists));
}

TEST(SnapshotMeasuresTest, SharesOfNothingAreNone) {
  const SnapshotMeasures nothing;
  EXPECT_EQ(nothing.user_coverage(), 0);
  EXPECT_EQ(nothing.item_coverage(), 0);
  EXPECT_EQ(nothing.empty_list_rate(), 0);
  const SnapshotMeasures some{.users = 10, .items = 4, .listed_users = 6, .empty_lists = 2, .listed_items = 3};
  EXPECT_DOUBLE_EQ(some.user_coverage(), 0.6);
  EXPECT_DOUBLE_EQ(some.item_coverage(), 0.75);
  EXPECT_DOUBLE_EQ(some.empty_list_rate(), 0.25);
}

}  // namespace
}  // namespace tributary
