#include "serving_layer/live_state/session_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/sync/rcu.h"

namespace tributary::serving {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::Not;

class SessionListsTest : public testing::Test {
 protected:
  // Somebody else's session.
  void Act(uint64_t user, std::vector<uint32_t> items) {
    LiveSessionIndex::Session session{.user = user, .id = 1, .time_unix_ms = static_cast<int64_t>(user)};
    session.item_times.assign(items.size(), session.time_unix_ms);
    session.items = std::move(items);
    live_.SetUser(user, {session});
  }
  SessionQuery Query(absl::Span<const uint32_t> items, int64_t now = 1'000'000) const {
    return {.items = items, .now_unix_ms = now, .live = &live_, .user = 99, .session_time_unix_ms = 5};
  }
  std::vector<ScoredItem> Search(const SessionQuery& query, size_t n = 10) {
    const absl::Span<const ScoredItem> list = neighbours_.Next(query, n, &scratch_);
    return {list.begin(), list.end()};
  }
  std::vector<ScoredItem> Ask(const SessionLists& lists, const SessionQuery& query, size_t n = 10) {
    const absl::Span<const ScoredItem> list = lists.Next(neighbours_, query, n, &scratch_);
    return {list.begin(), list.end()};
  }

  const SessionIndexArrays none_;
  LiveSessionIndex live_{{}, none_.index()};
  const SessionNeighbours neighbours_{none_.index(), {}};
  SessionNeighbours::Scratch scratch_;
  const std::vector<uint32_t> session_ = {1, 2};
  const std::vector<uint32_t> longer_ = {1, 2, 3};
  EpochGuard guard_;
};

TEST_F(SessionListsTest, WithoutAnAgeTheListIsThatOfASearchNowWhateverOthersDo) {
  const SessionLists lists({});
  Act(50, {30, 31});
  for (uint64_t user = 1; user <= 20; ++user) {
    Act(user, {static_cast<uint32_t>(user % 3), 2, static_cast<uint32_t>(10 + user)});
    const std::vector<ScoredItem> now = Search(Query(session_));
    ASSERT_THAT(now, Not(IsEmpty()));
    EXPECT_THAT(Ask(lists, Query(session_)), ElementsAreArray(now));
    EXPECT_THAT(Ask(lists, Query(session_)), ElementsAreArray(now));
  }
}

TEST_F(SessionListsTest, AListIsGivenAgainUpToItsAgeAndNoLonger) {
  const SessionLists lists({.max_age = absl::Seconds(10)});
  Act(1, {1, 2, 3});
  Act(2, {7, 8});
  const std::vector<ScoredItem> before = Ask(lists, Query(session_));
  Act(3, {1, 2, 4});
  const std::vector<ScoredItem> after = Search(Query(session_));
  ASSERT_NE(before, after);
  EXPECT_EQ(Ask(lists, Query(session_, 1'000'000 + 9'999)), before);
  EXPECT_EQ(Ask(lists, Query(session_, 1'000'000 - 1)), after) << "the clock went back";
  Act(4, {1, 2, 5});
  EXPECT_EQ(Ask(lists, Query(session_, 1'000'000 - 1 + 10'000)), Search(Query(session_)));
}

TEST_F(SessionListsTest, ASessionThatChangedIsSearchedAnew) {
  const SessionLists lists({.max_age = absl::Hours(1)});
  Act(1, {1, 2, 3, 4});
  Act(2, {3, 5});
  Act(3, {8, 9});
  Ask(lists, Query(session_));
  EXPECT_EQ(Ask(lists, Query(longer_)), Search(Query(longer_)));
  EXPECT_EQ(Ask(lists, Query(session_), 1), Search(Query(session_), 1)) << "asked for another number";
  SessionQuery other = Query(session_);
  other.user = 1;
  other.session_time_unix_ms = 1;  // It is no neighbour of itself.
  EXPECT_EQ(Ask(lists, other), Search(other));
}

TEST_F(SessionListsTest, NothingIsKeptWithoutMemory) {
  const SessionLists lists({.memory_budget_bytes = 0, .max_age = absl::Hours(1)});
  Act(1, {1, 2, 3});
  Act(2, {4, 5});
  Ask(lists, Query(session_));
  Act(3, {1, 2, 4});
  EXPECT_EQ(Ask(lists, Query(session_)), Search(Query(session_)));
  EXPECT_EQ(lists.bytes(), 0);
}

}  // namespace
}  // namespace tributary::serving
