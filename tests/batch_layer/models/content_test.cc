#include "batch_layer/models/content.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary::batch {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::IsEmpty;

Factors Rows(const std::vector<std::vector<float>>& rows) {
  Factors factors(static_cast<uint32_t>(rows.size()), static_cast<int>(rows[0].size()));
  for (uint32_t i = 0; i < rows.size(); ++i) {
    std::copy(rows[i].begin(), rows[i].end(), factors.row(i).begin());
  }
  return factors;
}

TEST(ContentTest, ANewItemGetsTheMeanOfItsKindByUsersTimesTheWeight) {
  Factors items = Rows({{1, 0}, {0, 1}, {5, 5}, {9, 9}});
  const std::vector<std::vector<uint32_t>> features = {{0}, {0}, {1}, {0}};
  const std::vector<uint32_t> users = {3, 1, 4, 0};
  EXPECT_THAT(FillNewItems(features, 2, users, 0.5f, &items), ElementsAre(3));
  EXPECT_THAT(items.row(3), ElementsAre(FloatNear(0.375f, 1e-6f), FloatNear(0.125f, 1e-6f)));
  EXPECT_THAT(items.row(2), ElementsAre(5, 5)) << "touched ones stay";
}

TEST(ContentTest, RareFeaturesSayMoreThanCommonOnes) {
  Factors items = Rows({{1, 0}, {1, 0}, {1, 0}, {0, 1}, {0, 0}});
  const std::vector<std::vector<uint32_t>> features = {{0}, {0}, {0}, {1}, {0, 1}};
  const std::vector<uint32_t> users = {1, 1, 1, 1, 0};
  ASSERT_THAT(FillNewItems(features, 2, users, 1, &items), ElementsAre(4));
  const double common = std::log(1 + 5.0 / 4);
  const double rare = std::log(1 + 5.0 / 2);
  EXPECT_NEAR(items.row(4)[0], common / (common + rare), 1e-6);
  EXPECT_NEAR(items.row(4)[1], rare / (common + rare), 1e-6);
}

TEST(ContentTest, WithoutAFeatureThatATouchedItemHasNothingChanges) {
  Factors items = Rows({{1, 0}, {2, 2}, {3, 3}});
  const std::vector<std::vector<uint32_t>> features = {{}, {0}, {}};
  EXPECT_THAT(FillNewItems(features, 1, std::vector<uint32_t>{1, 0, 0}, 1, &items), IsEmpty());
  EXPECT_THAT(items.row(1), ElementsAre(2, 2));
  EXPECT_THAT(items.row(2), ElementsAre(3, 3));
}

}  // namespace
}  // namespace tributary::batch
