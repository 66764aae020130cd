#include "batch_layer/models/interaction_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(InteractionMatrixTest, BothOrdersHoldTheSameSortedEntriesAndRepeatsAdd) {
  const auto matrix = InteractionMatrix::Create(3, 4, {{2, 3, 1}, {0, 1, 2}, {2, 0, 4}, {0, 1, 0.5f}, {0, 3, 8}});
  ASSERT_TRUE(matrix.ok());
  EXPECT_EQ(matrix->rows(), 3u);
  EXPECT_EQ(matrix->items(), 4u);
  EXPECT_EQ(matrix->entries(), 4u);
  EXPECT_THAT(matrix->by_row().row(0).columns, ElementsAre(1, 3));
  EXPECT_THAT(matrix->by_row().row(0).weights, ElementsAre(2.5f, 8));
  EXPECT_THAT(matrix->by_row().row(1).columns, ElementsAre());
  EXPECT_THAT(matrix->by_row().row(2).columns, ElementsAre(0, 3));
  EXPECT_THAT(matrix->by_item().row(0).columns, ElementsAre(2));
  EXPECT_THAT(matrix->by_item().row(1).weights, ElementsAre(2.5f));
  EXPECT_THAT(matrix->by_item().row(2).columns, ElementsAre());
  EXPECT_THAT(matrix->by_item().row(3).columns, ElementsAre(0, 2));
  EXPECT_THAT(matrix->by_item().row(3).weights, ElementsAre(8, 1));
}

TEST(InteractionMatrixTest, RefusesWhatIsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Interaction& bad : {Interaction{2, 0, 1}, {0, 2, 1}, {0, 0, 0}, {0, 0, -1}, {0, 0, nan}, {0, 0, infinity}}) {
    const auto matrix = InteractionMatrix::Create(2, 2, {bad});
    EXPECT_TRUE(absl::IsInvalidArgument(matrix.status()));
    EXPECT_THAT(matrix.status().message(), HasSubstr("interaction out of range: row="));
  }
  EXPECT_TRUE(InteractionMatrix::Create(0, 0, {}).ok());
}

}  // namespace
}  // namespace tributary::batch
