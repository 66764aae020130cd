#include "common/merge/mixed_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ScoredItem At(uint32_t item, float score) { return {ItemNumber{item}, score}; }

TEST(MixedListTest, EachListCountsByItsBest) {
  const std::vector<ScoredItem> stored = {At(1, 10), At(2, 5)};
  const std::vector<ScoredItem> folded = {At(3, 0.2f), At(2, 0.1f)};
  EXPECT_THAT(MixedList(stored, folded, 0.25, 10), ElementsAre(At(1, 0.75f), At(2, 0.5f), At(3, 0.25f)));
  EXPECT_THAT(MixedList(stored, folded, 0.25, 2), ElementsAre(At(1, 0.75f), At(2, 0.5f)));
}

TEST(MixedListTest, AtTheEndsOneListIsLeft) {
  const std::vector<ScoredItem> stored = {At(1, 10), At(2, 5)};
  const std::vector<ScoredItem> folded = {At(3, 0.5f), At(2, 0.25f)};
  EXPECT_THAT(MixedList(stored, folded, 0, 10), ElementsAre(At(1, 1), At(2, 0.5f)));
  EXPECT_THAT(MixedList(stored, folded, 1, 10), ElementsAre(At(3, 1), At(2, 0.5f)));
}

TEST(MixedListTest, AListThatSaysNothingLeavesTheOther) {
  const std::vector<ScoredItem> list = {At(1, 4), At(2, 2)};
  const std::vector<ScoredItem> nothing = {At(5, 0)};
  EXPECT_THAT(MixedList(list, {}, 1, 10), ElementsAre(At(1, 1), At(2, 0.5f)));
  EXPECT_THAT(MixedList(list, nothing, 0.5, 10), ElementsAre(At(1, 1), At(2, 0.5f)));
  EXPECT_THAT(MixedList({}, list, 0, 10), ElementsAre(At(1, 1), At(2, 0.5f)));
  EXPECT_THAT(MixedList({}, {}, 0.5, 10), IsEmpty());
}

TEST(MixedListTest, OfEqualScoresTheSmallerItemIsFirst) {
  const std::vector<ScoredItem> stored = {At(9, 1), At(8, 1)};
  const std::vector<ScoredItem> folded = {At(2, 1), At(7, 1)};
  EXPECT_THAT(MixedList(stored, folded, 0.5, 3), ElementsAre(At(2, 0.5f), At(7, 0.5f), At(8, 0.5f)));
}

}  // namespace
}  // namespace tributary
