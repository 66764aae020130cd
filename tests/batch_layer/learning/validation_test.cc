#include "batch_layer/learning/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Users with `items` items each, item i seen at time i.
std::vector<Observation> Users(uint32_t users, uint32_t items, bool with_times = true) {
  std::vector<Observation> observations;
  for (uint32_t user = 0; user < users; ++user) {
    for (uint32_t item = 0; item < items; ++item) {
      observations.push_back({{user, item}, with_times ? int64_t{item} : 0});
    }
  }
  return observations;
}

TEST(CutValidationTest, HoldsOutTheLatestFifth) {
  const ValidationSlice slice = CutValidation(Users(10, 11), {.users = 4, .least_users = 10});
  ASSERT_EQ(slice.rows.size(), 4u);
  EXPECT_TRUE(std::is_sorted(slice.rows.begin(), slice.rows.end()));
  for (const auto& held_out : slice.held_out) {
    EXPECT_THAT(held_out, ElementsAre(9, 10));
  }
  ASSERT_EQ(slice.in_order.size(), 4u);
  for (const auto& in_order : slice.in_order) {
    ASSERT_EQ(in_order.size(), 11u);
    for (uint32_t i = 0; i < 11; ++i) {
      EXPECT_EQ(in_order[i].interaction.item, i);
    }
  }
  EXPECT_EQ(slice.train.size(), 10u * 11 - 4 * 2);
  for (const Interaction& interaction : slice.train) {
    EXPECT_FALSE(interaction.item >= 9 && std::count(slice.rows.begin(), slice.rows.end(), interaction.row) > 0);
  }
}

TEST(CutValidationTest, WithoutTimesTheSeedChooses) {
  const std::vector<Observation> observations = Users(300, 10, /*with_times=*/false);
  const ValidationSlice slice = CutValidation(observations, {.users = 300, .seed = 1});
  std::set<uint32_t> chosen;
  for (const auto& held_out : slice.held_out) {
    chosen.insert(held_out.begin(), held_out.end());
  }
  EXPECT_EQ(chosen.size(), 10u);
  EXPECT_EQ(CutValidation(observations, {.users = 300, .seed = 1}).held_out, slice.held_out);
  EXPECT_NE(CutValidation(observations, {.users = 300, .seed = 2}).held_out, slice.held_out);
}

TEST(CutValidationTest, TooFewUsersOrNoneAskedForGiveNoSlice) {
  EXPECT_THAT(CutValidation(Users(199, 5), {}).rows, IsEmpty());
  EXPECT_EQ(CutValidation(Users(200, 5), {}).rows.size(), 200u);
  EXPECT_THAT(CutValidation(Users(1000, 4), {}).rows, IsEmpty());
  EXPECT_THAT(CutValidation(Users(1000, 5), {.users = 0}).rows, IsEmpty());
  EXPECT_THAT(CutValidation({}, {.least_users = 0}).rows, IsEmpty());
}

}  // namespace
}  // namespace tributary::batch
