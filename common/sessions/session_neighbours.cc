#include "common/sessions/session_neighbours.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace tributary {
namespace {

constexpr double kMatchStep = 0.1;  // What a place further back in the session costs a neighbour's vote.

}  // namespace

// The last different items, the latest first.
void SessionNeighbours::Latest(absl::Span<const uint32_t> items, Scratch* scratch) const {
  std::vector<uint32_t>& latest = scratch->latest;
  latest.clear();
  for (size_t i = items.size(); i-- > 0 && latest.size() < options_.last_items;) {
    if (items[i] < index_.items() && std::find(latest.begin(), latest.end(), items[i]) == latest.end()) {
      latest.push_back(items[i]);
    }
  }
}

// The neighbours into `sessions`, their similarities into `similarities`, which keeps nothing else.
void SessionNeighbours::FindSessions(int64_t now_unix_ms, Scratch* scratch) const {
  std::vector<uint32_t>& found = scratch->sessions;
  std::vector<float>& similarities = scratch->similarities;
  found.clear();
  const auto l = static_cast<double>(scratch->latest.size());
  for (size_t j = 0; j < scratch->latest.size(); ++j) {
    const auto weight = static_cast<float>((l - static_cast<double>(j)) / l);
    const absl::Span<const uint32_t> sessions = index_.SessionsOf(scratch->latest[j]);
    for (const uint32_t session : sessions.first(std::min(sessions.size(), options_.recent_sessions))) {
      if (similarities[session] == 0) {
        found.push_back(session);
      }
      similarities[session] += weight;
    }
  }
  const auto keep = [&](size_t most, auto before) {
    if (found.size() > most) {
      std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(most), found.end(), before);
      for (size_t i = most; i < found.size(); ++i) {
        similarities[found[i]] = 0;
      }
      found.resize(most);
    }
  };
  keep(options_.recent_sessions, std::greater<>());  // Their numbers are in the order of time.
  for (const uint32_t session : found) {
    double similarity = similarities[session];
    if (options_.by_length) {
      similarity /= std::sqrt(l * static_cast<double>(index_.ItemsOf(session).size()));
    }
    if (options_.session_half_life_seconds > 0) {
      const double age =
          static_cast<double>(std::max<int64_t>(0, now_unix_ms - index_.session_times_unix_ms[session])) / 1000;
      similarity *= std::exp2(-age / options_.session_half_life_seconds);
    }
    // What is too old to be told from 0 still is a neighbour.
    similarities[session] = std::max(static_cast<float>(similarity), std::numeric_limits<float>::min());
  }
  const auto more_similar = [&](uint32_t a, uint32_t b) {
    return similarities[a] != similarities[b] ? similarities[a] > similarities[b] : a > b;
  };
  keep(options_.neighbours, more_similar);
  std::sort(found.begin(), found.end(), more_similar);  // Sums are then the same however they were found.
}

void SessionNeighbours::Vote(uint32_t session, Scratch* scratch) const {
  const absl::Span<const uint32_t> items = index_.ItemsOf(session);
  size_t j = 0, match = items.size();
  for (; j < scratch->latest.size() && match == items.size(); ++j) {
    match = static_cast<size_t>(std::find(items.begin(), items.end(), scratch->latest[j]) - items.begin());
  }
  // By now j is one more than the place of the match.
  const double vote = scratch->similarities[session] * (1 - kMatchStep * static_cast<double>(j));
  if (vote <= 0) {
    return;
  }
  for (size_t i = 0; i < items.size(); ++i) {
    double score = vote;
    if (options_.item_half_life_places > 0) {
      const double distance = std::abs(static_cast<double>(i) - static_cast<double>(match));
      score *= std::exp2(-distance / options_.item_half_life_places);
    }
    if (options_.by_idf) {
      score *= std::log(static_cast<double>(index_.sessions()) / index_.item_counts[items[i]]);
    }
    float& sum = scratch->scores[items[i]];
    if (sum == 0) {
      scratch->items.push_back(items[i]);
    }
    sum += static_cast<float>(score);
  }
}

std::vector<ScoredItem> SessionNeighbours::Next(absl::Span<const uint32_t> items, int64_t now_unix_ms, size_t n,
                                                Scratch* scratch) const {
  scratch->similarities.resize(index_.sessions());
  scratch->scores.resize(index_.items());
  scratch->items.clear();
  Latest(items, scratch);
  FindSessions(now_unix_ms, scratch);
  for (const uint32_t session : scratch->sessions) {
    Vote(session, scratch);
    scratch->similarities[session] = 0;
  }
  TopItems best(n);
  for (const uint32_t item : scratch->items) {
    if (scratch->scores[item] > 0) {
      best.Offer(item, scratch->scores[item]);
    }
    scratch->scores[item] = 0;
  }
  return best.Take();
}

}  // namespace tributary
