#include "common/sessions/live_session_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "common/sessions/session_neighbours.h"
#include "common/sync/rcu.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kItems = 40;

LiveSessionIndex::Session Live(uint64_t user, std::vector<uint32_t> items, std::vector<int64_t> times) {
  LiveSessionIndex::Session session{.user = user, .id = 1, .time_unix_ms = times.back()};
  session.items = std::move(items);
  session.item_times = std::move(times);
  return session;
}

std::vector<std::pair<uint32_t, float>> Pairs(absl::Span<const ScoredItem> list) {
  std::vector<std::pair<uint32_t, float>> pairs;
  for (const ScoredItem& scored : list) pairs.emplace_back(Value(scored.item), scored.score);
  return pairs;
}

// A walk of a few different items, one a second.
LiveSessionIndex::Session RandomSession(uint64_t user, int64_t begin, std::mt19937_64& random) {
  std::vector<uint32_t> items;
  std::vector<int64_t> times;
  const uint64_t length = 2 + random() % 6;
  for (int64_t t = begin; items.size() < length; t += 1'000) {
    const auto item = static_cast<uint32_t>(random() % kItems);
    if (std::count(items.begin(), items.end(), item) == 0) {
      items.push_back(item);
      times.push_back(t);
    }
  }
  return Live(user, std::move(items), std::move(times));
}

PastSession Past(const LiveSessionIndex::Session& session) { return {session.time_unix_ms, session.items}; }

TEST(LiveSessionIndexTest, WhatIsLiveCountsAsWhatIsStored) {
  std::mt19937_64 random(2);
  for (const int stored_of_10 : {0, 5}) {
    std::vector<PastSession> all, stored;
    std::vector<LiveSessionIndex::Session> live_sessions;
    for (uint64_t user = 1; user <= 200; ++user) {
      const LiveSessionIndex::Session session = RandomSession(user, static_cast<int64_t>(user) * 60'000, random);
      all.push_back(Past(session));
      if (static_cast<int>(random() % 10) < stored_of_10) {
        stored.push_back(Past(session));
      } else {
        live_sessions.push_back(session);
      }
    }
    const SessionIndexArrays together = SessionIndexArrays::Build(all, kItems, 1'000);
    const SessionIndexArrays arrays = SessionIndexArrays::Build(stored, kItems, 1'000);
    LiveSessionIndex live({}, arrays.index());
    for (const auto& session : live_sessions) live.SetUser(session.user, {session});
    EXPECT_EQ(live.sessions(), live_sessions.size());
    // Limits beyond what there is: it is then nobody's matter which session is the more recent.
    const SessionNeighbourOptions options{
        .recent_sessions = 1'000, .neighbours = 1'000, .session_half_life_seconds = 0};
    const SessionNeighbours of_all(together.index(), options), of_both(arrays.index(), options);
    SessionNeighbours::Scratch scratch, other;
    for (int query = 0; query < 50; ++query) {
      const std::vector<uint32_t> items = {static_cast<uint32_t>(random() % kItems),
                                           static_cast<uint32_t>(random() % kItems)};
      const auto expected = Pairs(of_all.Next({.items = items}, kItems, &scratch));
      const auto got = Pairs(of_both.Next({.items = items, .live = &live}, kItems, &other));
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_NEAR(got[i].second, expected[i].second, 1e-4 * expected[i].second);
      }
    }
  }
}

TEST(LiveSessionIndexTest, InWhateverOrderSessionsGrewTheAnswersAreTheSame) {
  std::mt19937_64 random(3);
  std::vector<LiveSessionIndex::Session> sessions;
  for (uint64_t user = 1; user <= 150; ++user) {
    sessions.push_back(RandomSession(user, static_cast<int64_t>(user % 20) * 60'000, random));  // Many of one time.
  }
  const SessionIndexArrays nothing = SessionIndexArrays::Build({}, 0, 1);
  LiveSessionIndex at_once({}, nothing.index()), click_by_click({}, nothing.index());
  for (const auto& session : sessions) at_once.SetUser(session.user, {session});
  std::vector<std::pair<size_t, size_t>> clicks;
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (size_t i = 2; i <= sessions[s].items.size(); ++i) clicks.emplace_back(s, i);
  }
  std::shuffle(clicks.begin(), clicks.end(), random);
  std::vector<size_t> known(sessions.size());
  for (const auto& [s, length] : clicks) {
    known[s] = std::max(known[s], length);
    const auto end = static_cast<std::ptrdiff_t>(known[s]);
    const auto& whole = sessions[s];
    click_by_click.SetUser(whole.user, {Live(whole.user, {whole.items.begin(), whole.items.begin() + end},
                                             {whole.item_times.begin(), whole.item_times.begin() + end})});
    // What comes and goes leaves nothing behind.
    click_by_click.SetUser(1'000 + s, {Live(1'000 + s, {whole.items[1], whole.items[0]}, {5, 6})});
    click_by_click.SetUser(1'000 + s, {});
  }
  EXPECT_EQ(click_by_click.All(), at_once.All());
  EXPECT_EQ(click_by_click.bytes(), at_once.bytes());
  const SessionNeighbours neighbours(nothing.index(), {.recent_sessions = 10, .neighbours = 5});
  SessionNeighbours::Scratch scratch, other;
  for (uint32_t item = 0; item < kItems; ++item) {
    const std::vector<uint32_t> items = {item, (item + 7) % kItems};
    EXPECT_EQ(Pairs(neighbours.Next({.items = items, .live = &click_by_click}, 10, &scratch)),
              Pairs(neighbours.Next({.items = items, .live = &at_once}, 10, &other)));
  }
}

TEST(LiveSessionIndexTest, ASessionThatGoesOnWithAStoredOneStandsForBoth) {
  const SessionIndexArrays arrays = SessionIndexArrays::Build({{10, {0, 1}}, {20, {0, 2}}, {30, {3, 4}}}, 10, 10);
  LiveSessionIndex live({}, arrays.index());
  LiveSessionIndex::Session session = Live(7, {0, 2, 5}, {15, 20, 25});
  session.stored = 1;
  live.SetUser(7, {session});
  EXPECT_EQ(live.sessions(), 0u);
  EXPECT_TRUE(live.Continues(1));
  EXPECT_FALSE(live.Continues(0));
  EXPECT_EQ(live.SessionsOf(0)->count, 0u);
  EXPECT_EQ(live.SessionsOf(5)->count, 1u);
  const SessionNeighbours neighbours(arrays.index(), {});
  SessionNeighbours::Scratch scratch;
  const SessionIndexArrays united = SessionIndexArrays::Build({{10, {0, 1}}, {25, {0, 2, 5}}, {30, {3, 4}}}, 10, 10);
  SessionNeighbours::Scratch other;
  EXPECT_EQ(Pairs(neighbours.Next({.items = {0}, .live = &live}, 10, &scratch)),
            Pairs(SessionNeighbours(united.index(), {}).Next({.items = {0}}, 10, &other)));
  live.SetUser(7, {});
  EXPECT_FALSE(live.Continues(1));
  EXPECT_EQ(live.SessionsOf(5), nullptr);
}

TEST(LiveSessionIndexTest, ASessionIsNoNeighbourOfItself) {
  const SessionIndexArrays nothing = SessionIndexArrays::Build({{1, {8, 9}}}, 10, 1);
  LiveSessionIndex live({}, nothing.index());
  live.SetUser(7, {Live(7, {0, 1}, {15, 20})});
  const SessionNeighbours neighbours(nothing.index(), {});
  SessionNeighbours::Scratch scratch;
  EXPECT_THAT(neighbours.Next({.items = {0, 1}, .live = &live, .user = 7, .session_time_unix_ms = 20}, 10, &scratch),
              IsEmpty());
  EXPECT_FALSE(
      neighbours.Next({.items = {0, 1}, .live = &live, .user = 8, .session_time_unix_ms = 20}, 10, &scratch).empty());
}

TEST(LiveSessionIndexTest, TheOldestSessionsLeaveAtTheBudget) {
  const SessionIndexArrays nothing = SessionIndexArrays::Build({}, 0, 1);
  LiveSessionIndex live({.memory_budget_bytes = 10'000}, nothing.index());
  for (uint64_t user = 1; user <= 1'000; ++user) {
    const auto time = static_cast<int64_t>(user) * 10;
    live.SetUser(user, {Live(user, {0, 1}, {time, time + 1})});
    ASSERT_LE(live.bytes(), 10'000);
  }
  ASSERT_GT(live.size(), 20u);
  const auto all = live.All();
  EXPECT_EQ(all.back().user, 1'000u);
  EXPECT_EQ(all.front().user, 1'001 - live.size());
  EXPECT_EQ(live.SessionsOf(0)->entries.size(), live.size());
  EXPECT_LE(live.slots(), live.size() + 1);
  live.SetUser(1, {Live(1, {0, 1}, {10, 11})});  // Too old to come back.
  EXPECT_EQ(live.All().front().user, all.front().user);
}

TEST(LiveSessionIndexTest, AnItemIsFoundByItsNewestSessions) {
  const SessionIndexArrays nothing = SessionIndexArrays::Build({}, 0, 1);
  LiveSessionIndex live({.sessions_per_item = 2}, nothing.index());
  for (const uint64_t user : {3, 1, 4, 2}) {
    const auto time = static_cast<int64_t>(user) * 10;
    live.SetUser(user, {Live(user, {0, static_cast<uint32_t>(user)}, {time, time + 1})});
  }
  std::vector<int64_t> times;
  for (const LiveSessionIndex::Entry& entry : live.SessionsOf(0)->entries) times.push_back(entry.time_unix_ms);
  EXPECT_THAT(times, ElementsAre(40, 30));
  EXPECT_EQ(live.SessionsOf(0)->count, 4u);
}

TEST(LiveSessionIndexTest, ReadersSeeWholeSessionsWhileTheyChange) {
  const SessionIndexArrays nothing = SessionIndexArrays::Build({}, 0, 1);
  LiveSessionIndex live({.memory_budget_bytes = 20'000}, nothing.index());
  const SessionNeighbours neighbours(nothing.index(), {.recent_sessions = 20, .neighbours = 10});
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  std::atomic<int64_t> found{0};
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      SessionNeighbours::Scratch scratch;
      std::mt19937_64 random(static_cast<uint64_t>(r));
      while (!stop.load()) {
        EpochGuard guard;
        const std::vector<uint32_t> items = {static_cast<uint32_t>(random() % kItems)};
        found += static_cast<int64_t>(neighbours.Next({.items = items, .live = &live}, 10, &scratch).size());
      }
    });
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 3'000 || found.load() == 0; ++i) {
    const uint64_t user = 1 + random() % 100;
    live.SetUser(user, {RandomSession(user, i, random)});
    live.Reclaim();
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace tributary
