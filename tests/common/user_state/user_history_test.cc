#include "common/user_state/user_history.h"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/seed.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr ItemNumber kTea{1};
constexpr ItemNumber kCup{2};

DecisionKey Key(int64_t time, int64_t offset = 0, int32_t partition = 0) {
  return {time, {PartitionId{partition}, Offset{offset}}};
}

UserHistory History(std::initializer_list<Decision> decisions) {
  UserHistory history;
  for (const Decision& d : decisions) history.Apply(d.kind, d.item, d.key, d.value_micros);
  return history;
}

TEST(UserHistoryTest, TheLatestDecisionHoldsWhateverOrderTheyArriveIn) {
  UserHistory history;
  history.Apply(v1::RETURN, kTea, Key(20), 0);
  history.Apply(v1::PURCHASE, kTea, Key(10), 5);
  EXPECT_EQ(LatestOf(history.Find(kTea), {v1::PURCHASE, v1::RETURN})->kind, v1::RETURN);
  history.Apply(v1::PURCHASE, kTea, Key(30), 6);
  history.Apply(v1::PURCHASE, kTea, Key(25), 7);
  const Decision* latest = LatestOf(history.Find(kTea), {v1::PURCHASE, v1::RETURN});
  EXPECT_EQ(latest->kind, v1::PURCHASE);
  EXPECT_EQ(latest->value_micros, 6);
  EXPECT_EQ(LatestOf(history.Find(kTea), {v1::LIKE}), nullptr);
  EXPECT_THAT(history.Find(kCup), IsEmpty());
}

TEST(UserHistoryTest, AtEqualTimesImportsSortFirstThenPartitionAndOffsetDecide) {
  const UserHistory history = History({{kTea, v1::LIKE, Key(10, 999, -1)}, {kTea, v1::DISLIKE, Key(10, 0, 0)}});
  EXPECT_EQ(LatestOf(history.Find(kTea), {v1::LIKE, v1::DISLIKE})->kind, v1::DISLIKE);
  // Of one kind too, whatever came first and whichever is worth more.
  EXPECT_EQ(History({{kTea, v1::RATING, Key(10, 5), 9}, {kTea, v1::RATING, Key(10, 6), 2}}).decisions()[0].value_micros,
            2);
  EXPECT_EQ(History({{kTea, v1::RATING, Key(10, 6), 2}, {kTea, v1::RATING, Key(10, 5), 9}}).decisions()[0].value_micros,
            2);
  EXPECT_LT(Key(10, 5, 0), Key(10, 6, 0));
  EXPECT_LT(Key(10, 6, 0), Key(10, 5, 1));
}

TEST(UserHistoryTest, ForgetHidesWhatIsNotAfterItWheneverItArrives) {
  UserHistory history = History({{kTea, v1::VIEW, Key(10)}, {kCup, v1::VIEW, Key(11)}, {kTea, v1::FORGET, Key(10)}});
  EXPECT_THAT(history.decisions(), SizeIs(1));
  EXPECT_EQ(history.forgotten_until_unix_ms(), 10);
  history.Apply(v1::PURCHASE, kTea, Key(10, 100), 0);
  EXPECT_THAT(history.Find(kTea), IsEmpty());
  history.Apply(v1::FORGET, kTea, Key(5), 0);
  EXPECT_EQ(history.forgotten_until_unix_ms(), 10) << "an earlier forget does not bring anything back";
  EXPECT_FALSE(History({{kTea, v1::FORGET, Key(1)}}).empty());
}

TEST(UserHistoryTest, KindsWithoutLongTermEffectChangeNothing) {
  for (int type = 0; type <= v1::EventType_MAX; ++type) {
    UserHistory history;
    history.Apply(static_cast<EventType>(type), kTea, Key(1), 0);
    EXPECT_EQ(history.empty(), !IsLongTerm(static_cast<EventType>(type))) << type;
  }
  EXPECT_FALSE(IsLongTerm(v1::IMPRESSION));
  EXPECT_FALSE(IsLongTerm(v1::SEARCH));
  EXPECT_FALSE(IsLongTerm(v1::ADJUSTMENT));
  EXPECT_TRUE(IsLongTerm(v1::FORGET));
}

TEST(UserHistoryTest, CombineHidesOnBothSides) {
  const UserHistory old_forget = History({{kTea, v1::FORGET, Key(10)}});
  UserHistory late = History({{kTea, v1::PURCHASE, Key(10)}, {kCup, v1::PURCHASE, Key(11)}});
  UserHistory forgotten = old_forget;
  forgotten.Combine(late);
  late.Combine(old_forget);
  EXPECT_EQ(forgotten, late);
  EXPECT_THAT(late.decisions(), SizeIs(1));
}

TEST(UserHistoryTest, CombiningIntoEnoughCapacityAllocatesNothing) {
  UserHistory scratch;
  for (uint32_t item = 0; item < 100; ++item) scratch.Apply(v1::VIEW, ItemNumber{item}, Key(1), 0);
  const Decision* memory = scratch.decisions().data();
  scratch.Clear();
  EXPECT_TRUE(scratch.empty());
  scratch.Combine(History({{kTea, v1::VIEW, Key(1)}}));
  scratch.Combine(History({{kTea, v1::LIKE, Key(1)}, {kCup, v1::VIEW, Key(1)}, {ItemNumber{0}, v1::VIEW, Key(1)}}));
  EXPECT_THAT(scratch.decisions(), SizeIs(4));
  EXPECT_EQ(scratch.decisions().data(), memory);
}

TEST(UserHistoryTest, AProfileThatIsNoProfileIsRefusedAndLeavesNothing) {
  v1::Profile good;
  History({{kTea, v1::VIEW, Key(1)}, {kCup, v1::VIEW, Key(1)}}).ToProto(&good);
  struct Case {
    std::string message;
    std::function<void(v1::Profile*)> spoil;
  };
  for (const Case& c : {Case{"different length", [](auto* p) { p->add_offsets(1); }},
                        Case{"different length", [](auto* p) { p->mutable_kinds()->RemoveLast(); }},
                        Case{"not sorted", [](auto* p) { p->mutable_items()->SwapElements(0, 1); }},
                        Case{"not sorted", [](auto* p) { p->set_items(1, p->items(0)); }},
                        Case{"does not keep", [](auto* p) { p->set_kinds(0, v1::FORGET); }},
                        Case{"does not keep", [](auto* p) { p->set_kinds(0, v1::SEARCH); }}}) {
    v1::Profile profile = good;
    c.spoil(&profile);
    UserHistory history = History({{kTea, v1::LIKE, Key(1)}});
    const absl::Status status = history.Assign(profile);
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(status.message(), HasSubstr(c.message));
    EXPECT_TRUE(history.empty());
  }
}

struct Applied {
  EventType kind;
  ItemNumber item;
  DecisionKey key;
  int64_t value;
};

UserHistory Fold(absl::Span<const Applied> events) {
  UserHistory history;
  for (const Applied& e : events) history.Apply(e.kind, e.item, e.key, e.value);
  return history;
}

// Times collide often, so that position decides often.
std::vector<Applied> RandomEvents(std::mt19937_64* random) {
  const auto pick = [&](int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(*random); };
  std::vector<Applied> events;
  const int64_t count = pick(60);
  for (int64_t i = 0; i < count; ++i) {
    const auto kind = pick(25) == 0 ? v1::FORGET : static_cast<EventType>(1 + pick(v1::EventType_MAX - 1));
    events.push_back({kind, ItemNumber{static_cast<uint32_t>(pick(6))},
                      Key(pick(20), i, static_cast<int32_t>(pick(3)) - 1), pick(100)});
  }
  return events;
}

TEST(UserHistoryPropertyTest, CombineIsAssociativeCommutativeAndIdempotent) {
  std::mt19937_64 random(reference::TestSeed());
  for (int run = 0; run < 500; ++run) {
    const UserHistory a = Fold(RandomEvents(&random));
    const UserHistory b = Fold(RandomEvents(&random));
    const UserHistory c = Fold(RandomEvents(&random));
    const auto combine = [](UserHistory x, const UserHistory& y) {
      x.Combine(y);
      return x;
    };
    ASSERT_EQ(combine(combine(a, b), c), combine(a, combine(b, c)));
    ASSERT_EQ(combine(a, b), combine(b, a));
    ASSERT_EQ(combine(a, a), a);
    ASSERT_EQ(combine(combine(a, b), b), combine(a, b));
    ASSERT_EQ(combine(a, UserHistory()), a);
    ASSERT_EQ(combine(UserHistory(), a), a);
  }
}

TEST(UserHistoryPropertyTest, EveryWAndEveryOrderOfArrivalGiveTheSameState) {
  std::mt19937_64 random(reference::TestSeed());
  for (int run = 0; run < 300; ++run) {
    std::vector<Applied> events = RandomEvents(&random);
    const UserHistory whole = Fold(events);
    for (size_t w = 0; w <= events.size(); ++w) {
      UserHistory state = Fold(absl::MakeSpan(events).first(w));
      state.Combine(Fold(absl::MakeSpan(events).subspan(w)));
      ASSERT_EQ(state, whole) << "w=" << w;
    }
    std::shuffle(events.begin(), events.end(), random);
    ASSERT_EQ(Fold(events), whole);
  }
}

TEST(UserHistoryPropertyTest, TheWayThroughTheProfileIsExact) {
  std::mt19937_64 random(reference::TestSeed());
  for (int run = 0; run < 200; ++run) {
    const UserHistory history = Fold(RandomEvents(&random));
    v1::Profile profile;
    history.ToProto(&profile);
    UserHistory read = Fold(RandomEvents(&random));
    ASSERT_TRUE(read.Assign(profile).ok());
    ASSERT_EQ(read, history);
  }
}

}  // namespace
}  // namespace tributary
