#include "tests/bench/session_sets.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

struct Session {
  uint64_t id = 0;
  std::vector<std::pair<double, uint32_t>> clicks;   // Time in seconds, item.
};

// In the order in which they come, and so are items numbered.
std::vector<Session> Parse(const std::string& text, absl::flat_hash_map<uint64_t, uint32_t>* numbers) {
  std::vector<Session> sessions;
  absl::flat_hash_map<uint64_t, size_t> places;
  std::istringstream lines(text);
  std::string header;
  std::getline(lines, header);
  uint64_t session = 0, item = 0;
  double time = 0;
  while (lines >> session >> item >> time) {
    const auto [place, is_new] = places.try_emplace(session, sessions.size());
    if (is_new) sessions.push_back({.id = session, .clicks = {}});
    sessions[place->second].clicks.emplace_back(
        time, numbers->try_emplace(item, static_cast<uint32_t>(numbers->size())).first->second);
  }
  return sessions;
}

std::vector<PastSession> PastSessions(std::vector<Session> sessions) {
  std::vector<PastSession> past;
  for (Session& session : sessions) {
    std::stable_sort(session.clicks.begin(), session.clicks.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    PastSession& added = past.emplace_back();
    added.time_unix_ms = static_cast<int64_t>(session.clicks.back().first * 1000);
    for (const auto& click : session.clicks) added.items.push_back(click.second);
  }
  return past;
}

}  // namespace

SessionSplit ReadSessions(const std::string& train, const std::string& test) {
  absl::flat_hash_map<uint64_t, uint32_t> numbers;
  std::vector<Session> known = Parse(ReadData(train), &numbers);
  std::stable_sort(known.begin(), known.end(), [](const Session& a, const Session& b) { return a.id < b.id; });
  SessionSplit split{.train = PastSessions(std::move(known)), .test = PastSessions(Parse(ReadData(test), &numbers))};
  split.items = static_cast<uint32_t>(numbers.size());
  return split;
}

SessionSplit ReadYoochoose(uint32_t day, size_t most) {
  std::istringstream lines(ReadData("yoochoose-17d/clicks.tsv.zst"));
  std::string header;
  std::getline(lines, header);
  SessionSplit split;
  absl::flat_hash_map<uint32_t, size_t> train, test;
  uint32_t period = 0, session = 0, item = 0;
  for (int64_t row = 0; lines >> period >> session >> item; ++row) {
    if (period > day) break;
    auto& places = period < day ? train : test;
    auto& sessions = period < day ? split.train : split.test;
    const auto [place, is_new] = places.try_emplace(session, sessions.size());
    if (is_new) sessions.emplace_back();
    sessions[place->second].items.push_back(item);
    sessions[place->second].time_unix_ms = row;
    split.items = std::max(split.items, item + 1);
  }
  split.test.resize(std::min(split.test.size(), most));
  return split;
}

std::vector<PastSession> SyntheticWalks(uint32_t sessions, uint32_t items) {
  std::vector<PastSession> walks(sessions);
  for (uint32_t s = 0; s < sessions; ++s) {
    walks[s].time_unix_ms = 1'600'000'000'000 + s;
    for (uint32_t i = 0; i < 2 + s % 5; ++i) {
      walks[s].items.push_back((s * 7 + i) % items);
    }
  }
  return walks;
}

void SessionQuality::Add(size_t rank) {
  ++places;
  if (rank > 0) {
    hit_rate += 1;
    mrr += 1 / static_cast<double>(rank);
  }
}

void SessionQuality::Add(absl::Span<const ScoredItem> list, uint32_t next, size_t length) {
  const auto end = list.begin() + static_cast<ptrdiff_t>(std::min(list.size(), length));
  const auto found = std::find_if(list.begin(), end, [&](const ScoredItem& scored) { return Value(scored.item) == next; });
  Add(found == end ? 0 : static_cast<size_t>(found - list.begin()) + 1);
}

void SessionQuality::Finish() {
  hit_rate /= static_cast<double>(std::max<int64_t>(1, places));
  mrr /= static_cast<double>(std::max<int64_t>(1, places));
}

}  // namespace tributary::bench
