#include "batch_layer/evaluation/served_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tributary::batch {
namespace {

using testing::ElementsAre;

constexpr int64_t kNow = 1'700'000'000'000;

class ServedListsTest : public testing::Test {
 protected:
  // Items i0 to i9, the even ones of category a, the others of b; i8 is sold out, i9 hidden by a rule.
  ServedListsTest() {
    CatalogueBuilder builder;
    for (int i = 0; i < 10; ++i) {
      v1::Item item;
      item.set_item_id("i" + std::to_string(i));
      item.add_categories(i % 2 == 0 ? "a" : "b");
      if (i == 8) {
        item.set_stock(0);
      }
      builder.Put(item);
    }
    catalogue_ = std::move(builder).Build();
    v1::Rule hide;
    hide.set_rule_id("r");
    hide.set_action(v1::HIDE);
    hide.set_item_id("i9");
    rules_ = RuleSet({hide}, *catalogue_);
  }

  std::vector<uint32_t> Serve(std::vector<ScoredItem> list, std::vector<uint32_t> own, size_t k) {
    // Users of an item: 10 for i0, one less for each that follows.
    ServedLists served({catalogue_.get(), &rules_, &policy_, kNow}, {10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
    const auto items = served.Serve(list, own, k);
    EXPECT_TRUE(items.ok()) << items.status();
    std::vector<uint32_t> numbers;
    for (const ScoredItem& item : *items) {
      numbers.push_back(Value(item.item));
    }
    return numbers;
  }

  static ScoredItem Scored(uint32_t item, float score) { return {ItemNumber{item}, score}; }

  std::shared_ptr<const Catalogue> catalogue_;
  RuleSet rules_;
  MergePolicy policy_ = MergePolicy::Default();
};

TEST_F(ServedListsTest, WhatTheUserHasWhatIsSoldOutAndWhatARuleHidesIsNotServed) {
  EXPECT_THAT(Serve({Scored(8, 9), Scored(3, 8), Scored(9, 7), Scored(5, 6), Scored(2, 5)}, {3}, 2), ElementsAre(5, 2));
}

TEST_F(ServedListsTest, AShortListIsFilledFromTheUsersCategoriesAndThenFromWhatIsPopular) {
  // Of b, which i1 is of: i3, i5, i7; then, for half as much, of all: i0, i2.
  EXPECT_THAT(Serve({Scored(6, 1)}, {1}, 6), ElementsAre(6, 3, 5, 0, 2, 7));
}

TEST_F(ServedListsTest, NobodyHasNothing) { EXPECT_THAT(Serve({}, {}, 3), ElementsAre(0, 1, 2)); }

}  // namespace
}  // namespace tributary::batch
