#include "common/sessions/session_neighbours.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "common/sessions/session_index.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<uint32_t> Numbers(absl::Span<const ScoredItem> list) {
  std::vector<uint32_t> numbers;
  for (const ScoredItem& scored : list) {
    numbers.push_back(Value(scored.item));
  }
  return numbers;
}

TEST(SessionIndexTest, SessionsByTimeEachItemOnceAndTheNewestSessionsOfAnItem) {
  const SessionIndexArrays arrays =
      SessionIndexArrays::Build({{30, {0, 1, 0, 2}}, {10, {0, 1}}, {40, {5, 5, 5}}, {20, {2, 0}}}, 7, 2);
  const SessionIndex index = arrays.index();
  ASSERT_EQ(index.sessions(), 3u);  // One item alone has no neighbours.
  EXPECT_EQ(index.items(), 7u);
  EXPECT_THAT(index.session_times_unix_ms, ElementsAre(10, 20, 30));
  EXPECT_THAT(index.ItemsOf(0), ElementsAre(0, 1));
  EXPECT_THAT(index.ItemsOf(2), ElementsAre(1, 0, 2));
  EXPECT_THAT(index.SessionsOf(0), ElementsAre(2, 1));
  EXPECT_THAT(index.SessionsOf(2), ElementsAre(2, 1));
  EXPECT_THAT(index.SessionsOf(5), IsEmpty());
  EXPECT_THAT(index.item_counts, ElementsAre(3, 2, 2, 0, 0, 0, 0));
}

TEST(SessionIndexTest, ARobotsSessionCountsWithItsLatestItems) {
  PastSession robot{1, {}};
  for (uint32_t i = 0; i < 1'000; ++i) {
    robot.items.push_back(i);
  }
  const SessionIndexArrays arrays = SessionIndexArrays::Build({robot}, 1'000, 10);
  const absl::Span<const uint32_t> items = arrays.index().ItemsOf(0);
  EXPECT_EQ(items.size(), SessionIndexArrays::kLongestSession);
  EXPECT_EQ(items.back(), 999u);
}

TEST(SessionNeighboursTest, NothingIsKnownOfAnEmptySessionOrUnknownItems) {
  const SessionIndexArrays arrays = SessionIndexArrays::Build({}, 0, 10);
  const SessionNeighbours neighbours(arrays.index(), {});
  SessionNeighbours::Scratch scratch;
  EXPECT_THAT(neighbours.Next({}, 5, &scratch), IsEmpty());
  EXPECT_THAT(neighbours.Next({.items = {3, 4'000'000'000}}, 5, &scratch), IsEmpty());
}

TEST(SessionNeighboursTest, TheLatestItemsSayMost) {
  const SessionIndexArrays arrays = SessionIndexArrays::Build({{1, {0, 10}}, {2, {1, 11}}, {3, {2, 12}}}, 20, 10);
  const SessionNeighbours neighbours(arrays.index(), {.last_items = 2});
  SessionNeighbours::Scratch scratch;
  EXPECT_THAT(Numbers(neighbours.Next({.items = {0, 1, 2}}, 4, &scratch)),
              ElementsAre(2, 12, 1, 11));  // 0 is too long ago.
}

TEST(SessionNeighboursTest, AgesCountAmongTheSessionsHoweverLongAgoAllOfThemWere) {
  constexpr int64_t kDayMs = 86'400'000;
  const SessionIndexArrays arrays =
      SessionIndexArrays::Build({{1'000, {0, 1}}, {1'000 + kDayMs, {0, 2}}, {1'000 + 2 * kDayMs, {0, 3}}}, 5, 10);
  const SessionNeighbours neighbours(arrays.index(), {.session_half_life_seconds = 86'400, .by_idf = false});
  SessionNeighbours::Scratch scratch;
  const auto list = neighbours.Next({.items = {0}, .now_unix_ms = 10'000 * kDayMs}, 5, &scratch);
  ASSERT_THAT(Numbers(list), ElementsAre(0, 3, 2, 1));
  EXPECT_FLOAT_EQ(list[1].score, 2 * list[2].score);
  EXPECT_FLOAT_EQ(list[2].score, 2 * list[3].score);
}

// The formula in the header, with maps and nothing clever.
std::vector<ScoredItem> Plain(const SessionIndex& index, const SessionNeighbourOptions& options,
                              const std::vector<uint32_t>& items) {
  std::vector<uint32_t> latest;
  for (size_t i = items.size(); i-- > 0 && latest.size() < options.last_items;) {
    if (std::count(latest.begin(), latest.end(), items[i]) == 0) latest.push_back(items[i]);
  }
  const auto l = static_cast<double>(latest.size());
  const auto has = [&](uint32_t session, uint32_t item) {
    const auto of = index.ItemsOf(session);
    return std::find(of.begin(), of.end(), item) - of.begin();
  };
  const auto missing = [&](uint32_t session) { return static_cast<std::ptrdiff_t>(index.ItemsOf(session).size()); };
  std::vector<std::pair<double, uint32_t>> similar;
  size_t recent = 0;
  int64_t newest = 0;
  for (uint32_t session = index.sessions(); session-- > 0 && recent < options.recent_sessions;) {
    double similarity = 0;
    for (size_t j = 0; j < latest.size(); ++j) {
      similarity += has(session, latest[j]) < missing(session) ? (l - static_cast<double>(j)) / l : 0;
    }
    if (similarity > 0) {
      newest = ++recent == 1 ? index.session_times_unix_ms[session] : newest;
      if (options.by_length) similarity /= std::sqrt(l * static_cast<double>(index.ItemsOf(session).size()));
      if (options.session_half_life_seconds > 0) {
        similarity *= std::exp2(-static_cast<double>(newest - index.session_times_unix_ms[session]) / 1000 /
                                options.session_half_life_seconds);
      }
      similar.emplace_back(similarity, session);
    }
  }
  std::sort(similar.rbegin(), similar.rend());
  similar.resize(std::min(similar.size(), options.neighbours));
  std::map<uint32_t, double> scores;
  for (const auto& [similarity, session] : similar) {
    size_t j = 0;
    while (has(session, latest[j]) == missing(session)) ++j;
    const absl::Span<const uint32_t> of = index.ItemsOf(session);
    for (size_t i = 0; i < of.size(); ++i) {
      double score = similarity * std::max(0.0, 1 - 0.1 * (static_cast<double>(j) + 1));
      if (options.item_half_life_places > 0) {
        const auto distance = static_cast<double>(std::abs(static_cast<std::ptrdiff_t>(i) - has(session, latest[j])));
        score *= std::exp2(-distance / options.item_half_life_places);
      }
      if (options.by_idf) score *= std::log(static_cast<double>(index.sessions()) / index.item_counts[of[i]]);
      scores[of[i]] += score;
    }
  }
  std::vector<ScoredItem> list;
  for (const auto& [item, score] : scores) {
    if (score > 0) list.push_back({ItemNumber{item}, static_cast<float>(score)});
  }
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  return list;
}

TEST(SessionNeighboursTest, IsTheFormulaOnRandomSessionsWhateverIsAskedFor) {
  std::mt19937_64 random(1);
  std::vector<PastSession> sessions;
  for (int s = 0; s < 300; ++s) {
    PastSession& session = sessions.emplace_back();
    session.time_unix_ms = static_cast<int64_t>(s) * 60'000;  // No two alike: m cuts by time.
    for (uint64_t i = 0; i < 2 + random() % 9; ++i) {
      session.items.push_back(static_cast<uint32_t>(std::min(random() % 40, random() % 40)));
    }
  }
  const SessionIndexArrays arrays = SessionIndexArrays::Build(sessions, 40, 50);
  SessionNeighbours::Scratch scratch;  // Used again and again: nothing is left in it.
  const std::vector<SessionNeighbourOptions> cases = {
      {},
      {.recent_sessions = 50, .neighbours = 20, .last_items = 3, .item_half_life_places = 0, .by_idf = false},
      {.recent_sessions = 50, .neighbours = 10, .by_length = true, .session_half_life_seconds = 3'600}};
  for (size_t c = 0; c < cases.size(); ++c) {
    SessionNeighbourOptions options = cases[c];
    options.recent_sessions = 50;  // As many as the index keeps of an item, else the formula sees more.
    const SessionNeighbours neighbours(arrays.index(), options);
    for (int query = 0; query < 50; ++query) {
      std::vector<uint32_t> items;
      for (uint64_t i = 0; i < 1 + random() % 6; ++i) {
        items.push_back(static_cast<uint32_t>(random() % 40));
      }
      const auto list = neighbours.Next({.items = items}, 40, &scratch);
      const auto plain = Plain(arrays.index(), options, items);
      ASSERT_EQ(list.size(), plain.size()) << "case " << c << " query " << query;
      for (size_t i = 0; i < list.size(); ++i) {
        EXPECT_NEAR(list[i].score, plain[i].score, 1e-4 * plain[i].score) << "case " << c << " query " << query;
      }
    }
  }
}

}  // namespace
}  // namespace tributary
