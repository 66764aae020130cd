#include "serving_layer/context/fold_in.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "common/merge/mixed_list.h"
#include "common/sync/rcu.h"

namespace tributary::serving {
namespace {

using testing::IsEmpty;

constexpr uint32_t kItems = 30;
constexpr int kDimensions = 8;

class FoldInTest : public testing::Test {
 protected:
  FoldInTest() {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    for (float& value : values_) value = normal(random);
    factors_ = {.items = kItems,
                .dimensions = kDimensions,
                .unobserved_weight = 0.1f,
                .regularization = 0.01f,
                .regularization_exponent = 1,
                .eigenvalues = eigenvalues_,
                .values = values_};
    options_.set_list_length(5);
    options_.set_dislike_rating_at_most(2);
    const auto weigh = [&](v1::EventType kind, double weight) {
      v1::KindWeight* const entry = options_.add_kind_weights();
      entry->set_kind(kind);
      entry->set_weight(weight);
    };
    weigh(v1::VIEW, 1);
    weigh(v1::PURCHASE, 3);
  }

  static void Add(v1::EventType kind, uint32_t item, int64_t time, UserHistory* history) {
    history->Apply(kind, ItemNumber{item}, {time, {PartitionId{0}, Offset{time}}}, 0);
  }

  std::vector<float> values_ = std::vector<float>(kItems * kDimensions);
  std::vector<float> eigenvalues_ = std::vector<float>(kDimensions, 1.0f);
  SnapshotFactors factors_;
  v1::FoldIn options_;
  // False: `list_` is left as it was.
  bool List(const FoldIn& fold_in, const UserHistory& before, const UserHistory& now, absl::Span<const ScoredItem> stored) {
    if (!fold_in.Seen(before, now, stored, &scratch_)) return false;
    list_ = fold_in.List(stored, &scratch_);
    return true;
  }

  FoldIn::Scratch scratch_;
  std::vector<ScoredItem> list_;
};

TEST_F(FoldInTest, TheListIsThatOfTheNewHistoryWithTheWeightsOfTheTraining) {
  const FoldIn fold_in(factors_, options_, {});
  UserHistory before, now;
  Add(v1::VIEW, 3, 1, &before);
  now = before;
  Add(v1::PURCHASE, 3, 2, &now);
  Add(v1::VIEW, 7, 3, &now);
  ASSERT_TRUE(List(fold_in, before, now, {}));
  const IalsFoldIn plain({values_.data(), kItems, kDimensions}, eigenvalues_, {0.1f, 0.01f, 1});
  IalsFoldIn::Scratch scratch;
  const std::vector<uint32_t> columns = {3, 7};
  const std::vector<float> weights = {4, 1};
  EXPECT_EQ(list_, plain.List(columns, weights, 5, /*exclude_own=*/false, &scratch));
}

TEST_F(FoldInTest, WhatTheModelsWouldNotSeeLeavesTheListOfTheSnapshot) {
  const FoldIn fold_in(factors_, options_, {});
  UserHistory before, now;
  Add(v1::VIEW, 3, 1, &before);
  now = before;
  Add(v1::VIEW, 3, 2, &now);         // Once more.
  Add(v1::ADD_TO_CART, 4, 3, &now);  // Without weight.
  Add(v1::VIEW, kItems, 4, &now);    // Newer than the snapshot.
  EXPECT_FALSE(List(fold_in, before, now, {}));
}

TEST_F(FoldInTest, OfWhomNothingIsLeftNothingIsKnown) {
  options_.set_since_unix_ms(10);
  const FoldIn fold_in(factors_, options_, {});
  UserHistory before, now;
  Add(v1::VIEW, 2, 5, &now);  // Too old to count.
  EXPECT_FALSE(List(fold_in, before, now, {}));
  Add(v1::PURCHASE, 3, 20, &before);
  now = before;
  Add(v1::RETURN, 3, 21, &now);
  list_ = {{ItemNumber{1}, 1}};
  EXPECT_TRUE(List(fold_in, before, now, {}));
  EXPECT_THAT(list_, IsEmpty());
}

TEST_F(FoldInTest, BesideAStoredListItHasItsShare) {
  UserHistory before, now;
  Add(v1::VIEW, 3, 1, &before);
  now = before;
  Add(v1::VIEW, 7, 2, &now);
  const std::vector<ScoredItem> stored = {{ItemNumber{20}, 2}, {ItemNumber{21}, 1}};
  ASSERT_TRUE(List(FoldIn(factors_, options_, {}), before, now, stored));   // No share named: alone.
  const std::vector<ScoredItem> folded = list_;
  options_.set_folded_share(0.5);
  const FoldIn half(factors_, options_, {});
  ASSERT_TRUE(List(half, before, now, stored));
  EXPECT_EQ(list_, MixedList(stored, folded, 0.5, 5));
  EXPECT_NE(list_, folded);
  ASSERT_TRUE(List(half, before, now, {}));
  EXPECT_EQ(list_, folded);
  options_.set_folded_share(0);
  const FoldIn none(factors_, options_, {});
  EXPECT_FALSE(List(none, before, now, stored));
  ASSERT_TRUE(List(none, before, now, {}));
  EXPECT_EQ(list_, folded);
}

TEST_F(FoldInTest, AStoredListOfSomethingForgottenCountsNoMore) {
  options_.set_folded_share(0);
  const FoldIn fold_in(factors_, options_, {});
  UserHistory before, now;
  Add(v1::VIEW, 3, 1, &before);
  now = before;
  now.Apply(v1::FORGET, ItemNumber{}, {5, {}}, 0);
  const std::vector<ScoredItem> stored = {{ItemNumber{20}, 2}};
  ASSERT_TRUE(List(fold_in, before, now, stored));
  EXPECT_THAT(list_, IsEmpty());
  list_ = stored;
  ASSERT_TRUE(List(fold_in, {}, now, stored)) << "even if it rests on nothing that the models see";
  EXPECT_THAT(list_, IsEmpty());
  Add(v1::VIEW, 7, 6, &now);
  ASSERT_TRUE(List(fold_in, before, now, stored));
  const std::vector<ScoredItem> beside = list_;
  ASSERT_TRUE(List(fold_in, before, now, {}));
  EXPECT_EQ(list_, beside);
}

TEST_F(FoldInTest, ListsAreKeptByUserAndVersionWithinTheBudget) {
  constexpr int64_t kBudget = 20'000;
  const FoldIn fold_in(factors_, options_, {.memory_budget_bytes = kBudget});
  EpochGuard guard;
  for (uint64_t user = 1; user <= 5'000; ++user) {
    fold_in.memo().Keep({.user = user, .version = 9, .changed = true, .list = {{ItemNumber{static_cast<uint32_t>(user)}, 1}}});
    ASSERT_LE(fold_in.memo().bytes(), kBudget);
  }
  size_t kept = 0;
  for (uint64_t user = 1; user <= 5'000; ++user) {
    const FoldIn::Memo* const memo = fold_in.memo().Find(user, 9);
    if (memo == nullptr) continue;
    ++kept;
    EXPECT_EQ(Value(memo->list[0].item), user);
    EXPECT_EQ(fold_in.memo().Find(user, 10), nullptr);
  }
  EXPECT_GT(kept, 50u);
  EXPECT_NE(fold_in.memo().Find(5'000, 9), nullptr) << "who comes last is kept";
  fold_in.memo().Keep({.user = 5'000, .version = 10});
  EXPECT_EQ(fold_in.memo().Find(5'000, 9), nullptr) << "a user has one list";
}

}  // namespace
}  // namespace tributary::serving
