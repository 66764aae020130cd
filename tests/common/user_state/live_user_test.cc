#include "common/user_state/live_user.h"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "tests/reference/seed.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr UserLimits kMany{.facts = 4096};
constexpr UserLimits kWithImpressions{.facts = 4096, .impressions = 16};
constexpr int64_t kHour = 3600 * 1000;

Event MakeEvent(EventType type, int64_t event_time, const std::string& item = "tea", uint64_t id = 0) {
  Event event;
  event.type = type;
  event.user_id = "ann";
  event.item_id = item;
  event.event_time_unix_ms = event_time;
  event.event_id_hash = id;
  return event;
}

std::vector<int64_t> Offsets(const std::vector<Fact>& facts) {
  std::vector<int64_t> offsets;
  for (const Fact& fact : facts) offsets.push_back(Value(fact.offset));
  return offsets;
}

v1::SpeedView ToView(const LiveUser& user) {
  v1::SpeedView view;
  user.ToProto(&view);
  return view;
}

LiveUser Restored(const LiveUser& user) {
  auto restored = LiveUser::FromProto(ToView(user));
  EXPECT_TRUE(restored.ok()) << restored.status();
  return *std::move(restored);
}

bool Same(const LiveUser& a, const LiveUser& b) {
  return google::protobuf::util::MessageDifferencer::Equals(ToView(a), ToView(b));
}

TEST(LiveUserTest, ARepeatedIdIsADuplicateAndChangesNothing) {
  LiveUser user;
  EXPECT_EQ(user.Apply(MakeEvent(v1::VIEW, 1, "tea", 7), Offset{0}, 100, kMany), LiveUser::Outcome::kAccepted);
  const LiveUser before = user;
  EXPECT_EQ(user.Apply(MakeEvent(v1::PURCHASE, 2, "cup", 7), Offset{1}, 200, kMany), LiveUser::Outcome::kDuplicate);
  EXPECT_TRUE(Same(user, before));
}

TEST(LiveUserTest, EventsWithoutFactStillRememberTheirId) {
  LiveUser user;
  user.Apply(MakeEvent(v1::IMPRESSION, 1, "tea", 7), Offset{0}, 0, kMany);
  EXPECT_THAT(user.facts(), IsEmpty());
  EXPECT_FALSE(user.empty());
  EXPECT_EQ(user.Apply(MakeEvent(v1::IMPRESSION, 1, "tea", 7), Offset{1}, 0, kMany), LiveUser::Outcome::kDuplicate);
}

TEST(LiveUserTest, ImpressionsStayForADayWhateverTheFloor) {
  LiveUser user;
  user.Apply(MakeEvent(v1::IMPRESSION, 1), Offset{0}, 0, kWithImpressions);
  user.Apply(MakeEvent(v1::VIEW, 2), Offset{1}, 1, kWithImpressions);
  user.Apply(MakeEvent(v1::IMPRESSION, 3), Offset{2}, 2, kWithImpressions);
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(1)) << "an impression is no fact";
  user.Trim(Offset{9}, kRecentFactMs);
  EXPECT_THAT(Offsets(user.impressions()), ElementsAre(0, 2));
  EXPECT_TRUE(user.Trim(Offset{9}, kRecentFactMs + 1));
  EXPECT_THAT(Offsets(user.impressions()), ElementsAre(2));
  EXPECT_TRUE(user.Trim(Offset{9}, kRecentFactMs + 3));
  EXPECT_TRUE(user.empty());
}

TEST(LiveUserTest, AnImpressionKeepsItsItemAndTimesAlone) {
  LiveUser user;
  Event event = MakeEvent(v1::IMPRESSION, 5);
  event.session_id = "s";
  event.value_micros = 7;
  user.Apply(event, Offset{3}, 9, kWithImpressions);
  EXPECT_THAT(user.impressions(), ElementsAre(Fact{.kind = v1::IMPRESSION, .item_id = "tea", .event_time_unix_ms = 5,
                                                   .offset = Offset{3}, .record_time_unix_ms = 9}));
}

TEST(LiveUserTest, ForgetHidesImpressionsToo) {
  LiveUser user;
  user.Apply(MakeEvent(v1::IMPRESSION, 20), Offset{0}, 0, kWithImpressions);
  user.Apply(MakeEvent(v1::IMPRESSION, 21), Offset{1}, 0, kWithImpressions);
  user.Apply(MakeEvent(v1::FORGET, 20), Offset{2}, 0, kWithImpressions);
  user.Apply(MakeEvent(v1::IMPRESSION, 19), Offset{3}, 0, kWithImpressions);
  EXPECT_THAT(Offsets(user.impressions()), ElementsAre(1));
}

TEST(LiveUserTest, PastTheLimitTheOldestImpressionsGo) {
  LiveUser user;
  for (int64_t offset = 0; offset < 17; ++offset) {
    user.Apply(MakeEvent(v1::IMPRESSION, 1), Offset{offset}, 0, kWithImpressions);
  }
  EXPECT_THAT(Offsets(user.impressions()), ElementsAre(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16));
  EXPECT_FALSE(user.truncated());
}

// Which ones go at the limit must not rest on when those that had faded were trimmed.
TEST(LiveUserTest, WhatTheLimitTakesIsAFunctionOfTheLog) {
  LiveUser trimmed;
  LiveUser untouched;
  for (int64_t offset = 0; offset < 40; ++offset) {
    const int64_t record_time = offset < 8 ? 0 : kRecentFactMs + 1;
    for (LiveUser* user : {&trimmed, &untouched}) {
      user->Apply(MakeEvent(v1::IMPRESSION, 1), Offset{offset}, record_time, kWithImpressions);
    }
    if (offset == 7) trimmed.Trim(Offset{0}, kRecentFactMs + 1);
    ASSERT_TRUE(offset == 7 || Same(trimmed, untouched)) << offset;
  }
}

TEST(LiveUserTest, ForgetDropsWhatItHidesAndKeepsIds) {
  LiveUser user;
  user.Apply(MakeEvent(v1::VIEW, 10, "tea", 1), Offset{0}, 0, kMany);
  user.Apply(MakeEvent(v1::VIEW, 20), Offset{1}, 0, kMany);
  user.Trim(Offset{2}, 0);
  user.Apply(MakeEvent(v1::PURCHASE, 20), Offset{2}, 0, kMany);
  user.Apply(MakeEvent(v1::PURCHASE, 21), Offset{3}, 0, kMany);
  user.Apply(MakeEvent(v1::FORGET, 20), Offset{4}, 0, kMany);
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(3, 4));
  EXPECT_THAT(user.recent(), IsEmpty());
  EXPECT_EQ(user.Apply(MakeEvent(v1::VIEW, 30, "tea", 1), Offset{5}, 0, kMany), LiveUser::Outcome::kDuplicate);
}

TEST(LiveUserTest, AForgetInTheViewHidesWhatComesLater) {
  LiveUser user;
  user.Apply(MakeEvent(v1::FORGET, 20), Offset{0}, 0, kMany);
  user.Apply(MakeEvent(v1::VIEW, 20), Offset{1}, 0, kMany);
  user.Apply(MakeEvent(v1::VIEW, 21), Offset{2}, 0, kMany);
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 2));
  user.Trim(Offset{3}, 0);
  user.Apply(MakeEvent(v1::VIEW, 19), Offset{3}, 0, kMany);
  EXPECT_THAT(user.facts(), IsEmpty()) << "a forget among the recent facts hides too";
  user.Apply(MakeEvent(v1::VIEW, 19), Offset{4}, kRecentFactMs + 1, kMany);
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(4)) << "the forget has left the view: snapshots hide this fact";
}

TEST(LiveUserTest, PastTheLimitFactsGoInTheStatedOrder) {
  LiveUser user;
  int64_t offset = 0;
  const auto apply = [&](EventType type, const std::string& item = "tea") {
    user.Apply(MakeEvent(type, offset + 1, item), Offset{offset}, 0, {.facts = 6});
    ++offset;
  };
  apply(v1::PURCHASE);     // 0
  apply(v1::VIEW);         // 1
  apply(v1::SEARCH);       // 2
  apply(v1::ADD_TO_CART);  // 3
  apply(v1::VIEW, "");     // 4: a page view
  apply(v1::DISLIKE);      // 5
  EXPECT_FALSE(user.truncated());
  apply(v1::RETURN);  // 6: the search goes
  EXPECT_TRUE(user.truncated());
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 1, 3, 4, 5, 6));
  apply(v1::LIKE);  // 7: the page view
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 1, 3, 5, 6, 7));
  apply(v1::RATING);  // 8: the view
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 3, 5, 6, 7, 8));
  apply(v1::SEARCH);  // 9: itself
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 3, 5, 6, 7, 8));
  apply(v1::PURCHASE);  // 10: the cart
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 5, 6, 7, 8, 10));
  apply(v1::PURCHASE);  // 11: the oldest decision
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(5, 6, 7, 8, 10, 11));
  // A search was dropped at offset 9 and the oldest purchase at 0: from floor 10 on nothing is missing.
  EXPECT_TRUE(user.Trim(Offset{9}, 0));
  EXPECT_TRUE(Restored(user).truncated());
  LiveUser restored = Restored(user);
  for (LiveUser* u : {&user, &restored}) {
    EXPECT_TRUE(u->Trim(Offset{10}, 0));
    EXPECT_FALSE(u->truncated());
  }
}

TEST(LiveUserTest, AForgetGoesLast) {
  LiveUser user;
  user.Apply(MakeEvent(v1::FORGET, 1), Offset{0}, 0, {.facts = 2});
  for (int64_t offset = 1; offset < 5; ++offset) user.Apply(MakeEvent(v1::PURCHASE, 2), Offset{offset}, 0, {.facts = 2});
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(0, 4));
}

TEST(LiveUserTest, ThereAreNeverMoreFactsThanTheLimitAndNeverFewerThanFifteenSixteenths) {
  LiveUser user;
  for (int64_t offset = 0; offset < 2000; ++offset) {
    user.Apply(MakeEvent(offset % 3 == 0 ? v1::CLICK : v1::VIEW, 1), Offset{offset}, 0, {.facts = 256});
    EXPECT_LE(user.facts().size(), 256u);
    EXPECT_GE(user.facts().size(), std::min<size_t>(240, static_cast<size_t>(offset) + 1));
  }
  EXPECT_EQ(Value(user.facts().back().offset), 1999);
}

TEST(LiveUserTest, TrimMovesFactsBelowTheFloorAndKeepsTheLastSixtyFour) {
  LiveUser user;
  for (int64_t offset = 0; offset < 100; ++offset) user.Apply(MakeEvent(v1::VIEW, 1), Offset{offset}, 0, kMany);
  EXPECT_FALSE(user.Trim(Offset{0}, 0));
  EXPECT_TRUE(user.Trim(Offset{80}, 0));
  EXPECT_EQ(Offsets(user.facts()).front(), 80);
  EXPECT_EQ(user.facts().size(), 20u);
  EXPECT_EQ(Offsets(user.recent()).front(), 16);
  EXPECT_EQ(Offsets(user.recent()).back(), 79);
  EXPECT_FALSE(user.Trim(Offset{80}, kRecentFactMs)) << "the same again changes nothing";
}

TEST(LiveUserTest, TrimLetsGoOfWhatIsOlderThanADayAndOfNothingAboveTheFloor) {
  LiveUser user;
  user.Apply(MakeEvent(v1::VIEW, 1, "tea", 1), Offset{0}, 0, kMany);
  user.Apply(MakeEvent(v1::VIEW, 1, "tea", 2), Offset{1}, 5, kMany);
  EXPECT_TRUE(user.Trim(Offset{1}, 1000 * kHour));
  EXPECT_THAT(Offsets(user.facts()), ElementsAre(1));
  EXPECT_THAT(user.recent(), IsEmpty());
  EXPECT_TRUE(user.recent_ids().empty());
  EXPECT_FALSE(user.empty());
  EXPECT_TRUE(user.Trim(Offset{2}, 1000 * kHour));
  EXPECT_TRUE(user.empty());
}

TEST(LiveUserTest, AViewThatIsNoViewIsRefused) {
  LiveUser user;
  for (int64_t offset = 0; offset < 3; ++offset)
    user.Apply(MakeEvent(v1::VIEW, 1, "tea", 9 + offset), Offset{offset}, offset, {.facts = 9});
  user.Trim(Offset{1}, 0);
  struct Case {
    std::string message;
    std::function<void(v1::SpeedView*)> spoil;
  };
  for (const Case& c :
       {Case{"different length", [](auto* v) { v->add_recent_id_hashes(1); }},
        Case{"out of order: field=facts", [](auto* v) { v->mutable_facts()->SwapElements(0, 1); }},
        Case{"out of order: field=facts", [](auto* v) { *v->add_facts() = v->facts(1); }},
        Case{"out of order: field=facts", [](auto* v) { v->mutable_facts(0)->set_offset(-1); }},
        Case{"recent facts among", [](auto* v) { v->mutable_recent(0)->set_offset(1); }},
        Case{"no kind: field=recent", [](auto* v) { v->mutable_recent(0)->clear_kind(); }},
        Case{"impressions", [](auto* v) { *v->add_impressions() = v->facts(0); }},
        Case{"impressions",
             [](auto* v) {
               for (int i = 0; i < 2; ++i) v->add_impressions()->set_kind(v1::IMPRESSION);
             }},
        Case{"no kind: field=facts", [](auto* v) { v->mutable_facts(0)->set_kind(v1::IMPRESSION); }},
        Case{"ids out of order", [](auto* v) { v->mutable_recent_id_record_times_unix_ms()->Set(2, 0); }}}) {
    v1::SpeedView view = ToView(user);
    c.spoil(&view);
    const auto result = LiveUser::FromProto(view);
    EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << c.message;
    EXPECT_THAT(result.status().message(), HasSubstr(c.message));
  }
}

TEST(LiveUserTest, ATruncatedViewThatDoesNotSayUpToWhereStaysTruncated) {
  v1::SpeedView view;
  view.set_truncated(true);
  LiveUser user = *LiveUser::FromProto(view);
  user.Trim(Offset{int64_t{1} << 60}, 0);
  EXPECT_TRUE(user.truncated());
  EXPECT_FALSE(user.empty());
  EXPECT_TRUE(Restored(user).truncated());
}

// A random life of one user: what a state that is restored at any point must not change.
class RandomLife {
 public:
  explicit RandomLife(uint64_t seed) : random_(seed) {}

  struct Step {
    Event event;
    Offset offset{};
    int64_t record_time = 0;
  };

  Step Next() {
    offset_ += 1 + Pick(3);
    record_time_ += Pick(10) == 0 ? Pick(30) * kHour : Pick(kHour);
    const int kind = Pick(40);
    const EventType type = kind == 0 ? v1::FORGET : static_cast<EventType>(1 + kind % v1::SEARCH);
    return {MakeEvent(type, record_time_ - Pick(5) * Pick(kHour), std::string(1, static_cast<char>('a' + Pick(4))),
                      Pick(4) == 0 ? 0 : 1 + static_cast<uint64_t>(Pick(100))),
            Offset{offset_}, record_time_};
  }
  int Pick(int64_t n) { return static_cast<int>(std::uniform_int_distribution<int64_t>(0, n - 1)(random_)); }
  Offset RandomFloor() { return Offset{Pick(offset_ + 2)}; }

 private:
  std::mt19937_64 random_;
  int64_t offset_ = 0;
  int64_t record_time_ = 0;
};

TEST(LiveUserPropertyTest, AStateRestoredAtAnyPointGoesOnTheSame) {
  const uint64_t seed = reference::TestSeed();
  for (uint64_t run = 0; run < 100; ++run) {
    RandomLife life(seed + run);
    const UserLimits limits{.facts = static_cast<size_t>(life.Pick(2) == 0 ? 12 : 4096),
                            .impressions = static_cast<size_t>(life.Pick(3) == 0 ? 0 : 16)};
    LiveUser user;
    LiveUser restored;
    Offset floor{0};
    for (int step = 0; step < 300; ++step) {
      const RandomLife::Step next = life.Next();
      EXPECT_EQ(user.Apply(next.event, next.offset, next.record_time, limits),
                restored.Apply(next.event, next.offset, next.record_time, limits));
      if (life.Pick(10) == 0) {
        floor = std::max(floor, life.RandomFloor());
        EXPECT_EQ(user.Trim(floor, next.record_time), restored.Trim(floor, next.record_time));
      }
      ASSERT_TRUE(Same(user, restored)) << "run=" << run << " step=" << step;
      if (life.Pick(5) == 0) restored = Restored(restored);
    }
  }
}

TEST(LiveUserPropertyTest, TrimSaysWhetherTheViewChangedAndLosesNothingAtOrAboveTheFloor) {
  const uint64_t seed = reference::TestSeed();
  int left_alone = 0;
  for (uint64_t run = 0; run < 100; ++run) {
    RandomLife life(seed + run);
    LiveUser user;
    LiveUser never_trimmed;
    Offset floor{0};
    for (int step = 0; step < 200; ++step) {
      RandomLife::Step next = life.Next();
      // A forget that has left the view hides no more, so the two may differ; that is tested above.
      if (next.event.type == v1::FORGET) next.event.type = v1::VIEW;
      user.Apply(next.event, next.offset, next.record_time, kMany);
      never_trimmed.Apply(next.event, next.offset, next.record_time, kMany);
      if (life.Pick(10) == 0) {
        floor = std::max(floor, life.RandomFloor());
        const LiveUser before = user;
        const LiveUser::Untrimmed limits = user.untrimmed();
        const bool changed = user.Trim(floor, next.record_time);
        if (floor <= limits.floor && next.record_time - limits.record_time_unix_ms <= kRecentFactMs) {
          EXPECT_FALSE(changed) << "run=" << run << " step=" << step;
          ++left_alone;
        }
        EXPECT_EQ(changed, !Same(user, before)) << "run=" << run << " step=" << step;
        EXPECT_FALSE(user.Trim(floor, next.record_time));
      }
      std::vector<Fact> above;
      for (const Fact& fact : never_trimmed.facts()) {
        if (fact.offset >= floor) above.push_back(fact);
      }
      ASSERT_EQ(user.facts(), above) << "run=" << run << " step=" << step;
    }
  }
  EXPECT_GT(left_alone, 0);
}

TEST(LiveUserPropertyTest, TheBytesAreWhatProtobufWrites) {
  const uint64_t seed = reference::TestSeed();
  for (uint64_t run = 0; run < 20; ++run) {
    RandomLife life(seed + run);
    LiveUser user;
    for (int step = 0; step < 150; ++step) {
      const RandomLife::Step next = life.Next();
      user.Apply(next.event, next.offset, next.record_time, {.facts = 40, .impressions = 16});
      if (life.Pick(10) == 0) user.Trim(life.RandomFloor(), next.record_time);
      std::string bytes;
      user.AppendBytes(&bytes);
      ASSERT_EQ(bytes, ToView(user).SerializeAsString()) << "run=" << run << " step=" << step;
      const auto restored = LiveUser::FromBytes(bytes);
      ASSERT_TRUE(restored.ok()) << restored.status();
      ASSERT_TRUE(Same(*restored, user));
    }
  }
}

TEST(LiveUserPropertyTest, DamagedBytesAreReadAsTheParserOfProtobufReadsThem) {
  google::protobuf::LogSilencer silent;
  const uint64_t seed = reference::TestSeed();
  std::mt19937_64 random(seed);
  int read = 0;
  for (uint64_t run = 0; run < 100; ++run) {
    RandomLife life(seed + run);
    LiveUser user;
    for (int step = 0; step < 20; ++step) {
      const RandomLife::Step next = life.Next();
      user.Apply(next.event, next.offset, next.record_time, kMany);
    }
    user.Trim(life.RandomFloor(), 0);
    std::string bytes;
    user.AppendBytes(&bytes);
    for (int damage = 0; damage < 200; ++damage) {
      std::string damaged = bytes.substr(0, random() % 3 == 0 ? random() % (bytes.size() + 1) : bytes.size());
      if (!damaged.empty()) damaged[random() % damaged.size()] = static_cast<char>(random());
      const auto got = LiveUser::FromBytes(damaged);
      v1::SpeedView view;
      if (!view.ParseFromString(damaged)) {
        ASSERT_TRUE(absl::IsDataLoss(got.status())) << got.status();
        continue;
      }
      const auto wanted = LiveUser::FromProto(view);
      ASSERT_EQ(got.status(), wanted.status());
      if (!got.ok()) continue;
      ++read;
      ASSERT_TRUE(Same(*got, *wanted)) << "run=" << run << " damage=" << damage;
    }
  }
  EXPECT_GT(read, 1000);
}

}  // namespace
}  // namespace tributary
