#include "common/sessions/session_neighbours.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace tributary {
namespace {

constexpr double kMatchStep = 0.1;  // What a place further back in the session costs a neighbour's vote.

// Who comes first among live sessions of one time, whichever slots they have.
bool YoungerId(const LiveSessionIndex::Session* a, const LiveSessionIndex::Session* b) {
  if (a == nullptr || b == nullptr) {
    return b == nullptr && a != nullptr;
  }
  return std::tie(a->user, a->id) > std::tie(b->user, b->id);
}

}  // namespace

SessionNeighbours::SessionNeighbours(const SessionIndex& index, const SessionNeighbourOptions& options)
    : index_(index), options_(options) {
  for (size_t distance = 0; distance < SessionIndexArrays::kLongestSession; ++distance) {
    fading_.push_back(options.item_half_life_places > 0 ? static_cast<float>(std::exp2(-static_cast<double>(distance) /
                                                                                       options.item_half_life_places))
                                                        : 1.0f);
  }
}

// The last different items, the latest first.
void SessionNeighbours::Latest(const SessionQuery& query, Scratch* scratch) const {
  std::vector<uint32_t>& latest = scratch->latest;
  latest.clear();
  for (size_t i = query.items.size(); i-- > 0 && latest.size() < options_.last_items;) {
    const uint32_t item = query.items[i];
    const bool known = item < index_.items() || (query.live != nullptr && query.live->SessionsOf(item) != nullptr);
    if (known && std::find(latest.begin(), latest.end(), item) == latest.end()) {
      latest.push_back(item);
    }
  }
}

void SessionNeighbours::FindStored(const SessionQuery& query, Scratch* scratch) const {
  const auto l = static_cast<float>(scratch->latest.size());
  for (size_t j = 0; j < scratch->latest.size(); ++j) {
    if (scratch->latest[j] >= index_.items()) {
      continue;
    }
    const float weight = (l - static_cast<float>(j)) / l;
    const absl::Span<const uint32_t> sessions = index_.SessionsOf(scratch->latest[j]);
    for (const uint32_t session : sessions.first(std::min(sessions.size(), options_.recent_sessions))) {
      float& similarity = scratch->similarities[session];
      if (similarity == 0) {
        if (query.live != nullptr && query.live->Continues(session)) {
          continue;
        }
        scratch->found.push_back(
            {.recency = query.live != nullptr ? index_.session_times_unix_ms[session] : int64_t{session},
             .number = session});
      }
      similarity += weight;
    }
  }
}

void SessionNeighbours::FindLive(const LiveSessionIndex& live, Scratch* scratch) const {
  const auto l = static_cast<float>(scratch->latest.size());
  for (size_t j = 0; j < scratch->latest.size(); ++j) {
    const LiveSessionIndex::SessionsOfItem* const sessions = live.SessionsOf(scratch->latest[j]);
    if (sessions == nullptr) {
      continue;
    }
    const float weight = (l - static_cast<float>(j)) / l;
    for (const LiveSessionIndex::Entry& entry :
         absl::MakeConstSpan(sessions->entries).first(std::min(sessions->entries.size(), options_.recent_sessions))) {
      const uint32_t number = index_.sessions() + entry.slot;
      if (number >= scratch->similarities.size()) {
        continue;  // Came just now.
      }
      float& similarity = scratch->similarities[number];
      if (similarity == 0) {
        scratch->found.push_back({.recency = entry.time_unix_ms, .number = number});
      }
      similarity += weight;
    }
  }
}

// The neighbours into `found`, the most similar first; `similarities` is cleared.
void SessionNeighbours::ChooseSessions(const SessionQuery& query, Scratch* scratch) const {
  std::vector<Scratch::Found>& found = scratch->found;
  const uint32_t stored = index_.sessions();
  const auto live_of = [&](uint32_t number) {
    return number >= stored && query.live != nullptr ? query.live->At(number - stored) : nullptr;
  };
  const auto more_recent = [&](const Scratch::Found& a, const Scratch::Found& b) {
    if (a.recency != b.recency) {
      return a.recency > b.recency;
    }
    return a.number < stored && b.number < stored ? a.number > b.number
                                                  : YoungerId(live_of(a.number), live_of(b.number));
  };
  const auto keep = [&](size_t most, auto before) {
    if (found.size() > most) {
      std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(most), found.end(), before);
      found.resize(most);
    }
  };
  for (Scratch::Found& one : found) {
    one.similarity = scratch->similarities[one.number];
    scratch->similarities[one.number] = 0;
  }
  keep(options_.recent_sessions, more_recent);
  const auto l = static_cast<double>(scratch->latest.size());
  if (options_.by_length || options_.session_half_life_seconds > 0) {
    for (Scratch::Found& one : found) {
      double similarity = one.similarity;
      if (options_.by_length) {
        const LiveSessionIndex::Session* const live = live_of(one.number);
        const size_t length = one.number < stored ? index_.ItemsOf(one.number).size()
                              : live != nullptr   ? live->items.size()
                                                  : 1;
        similarity /= std::sqrt(l * static_cast<double>(length));
      }
      if (options_.session_half_life_seconds > 0) {
        const int64_t time = one.number < stored ? index_.session_times_unix_ms[one.number] : one.recency;
        const double age = static_cast<double>(std::max<int64_t>(0, query.now_unix_ms - time)) / 1000;
        similarity *= std::exp2(-age / options_.session_half_life_seconds);
      }
      // What is too old to be told from 0 still is a neighbour.
      one.similarity = std::max(static_cast<float>(similarity), std::numeric_limits<float>::min());
    }
  }
  const auto more_similar = [&](const Scratch::Found& a, const Scratch::Found& b) {
    return a.similarity != b.similarity ? a.similarity > b.similarity : more_recent(a, b);
  };
  keep(options_.neighbours, more_similar);
  std::sort(found.begin(), found.end(), more_similar);  // Sums are then the same however they were found.
}

void SessionNeighbours::Vote(absl::Span<const uint32_t> items, float similarity, Scratch* scratch) const {
  size_t j = 0, match = items.size();
  for (; j < scratch->latest.size() && match == items.size(); ++j) {
    match = static_cast<size_t>(std::find(items.begin(), items.end(), scratch->latest[j]) - items.begin());
  }
  // By now j is one more than the place of the match.
  const auto vote = static_cast<float>(similarity * (1 - kMatchStep * static_cast<double>(j)));
  if (vote <= 0 || match == items.size()) {
    return;  // A live session may have changed since it was found.
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i] >= scratch->scores.size()) {
      scratch->scores.resize(items[i] + size_t{1});
    }
    float& sum = scratch->scores[items[i]];
    if (sum == 0) {
      scratch->items.push_back(items[i]);
    }
    sum += vote * fading_[i > match ? i - match : match - i];
  }
}

absl::Span<const ScoredItem> SessionNeighbours::Next(const SessionQuery& query, size_t n, Scratch* scratch) const {
  scratch->list.clear();
  scratch->items.clear();
  scratch->found.clear();
  Latest(query, scratch);
  if (scratch->latest.empty()) {
    return {};
  }
  const size_t numbers = size_t{index_.sessions()} + (query.live != nullptr ? query.live->slots() : 0);
  if (scratch->similarities.size() < numbers) {
    scratch->similarities.resize(numbers);
  }
  if (scratch->scores.size() < index_.items()) {
    scratch->scores.resize(index_.items());
  }
  if (query.live != nullptr) {
    FindLive(*query.live, scratch);
  }
  FindStored(query, scratch);
  ChooseSessions(query, scratch);
  for (const Scratch::Found& one : scratch->found) {
    if (one.number < index_.sessions()) {
      Vote(index_.ItemsOf(one.number), one.similarity, scratch);
      continue;
    }
    const LiveSessionIndex::Session* const session = query.live->At(one.number - index_.sessions());
    const bool own = session != nullptr && query.user != 0 && session->user == query.user &&
                     session->time_unix_ms == query.session_time_unix_ms;
    if (session != nullptr && !own) {
      Vote(session->items, one.similarity, scratch);
    }
  }
  const double sessions = static_cast<double>(index_.sessions()) + (query.live != nullptr ? query.live->sessions() : 0);
  for (const uint32_t item : scratch->items) {
    float score = scratch->scores[item];
    scratch->scores[item] = 0;
    if (options_.by_idf) {
      const LiveSessionIndex::SessionsOfItem* const live =
          query.live != nullptr ? query.live->SessionsOf(item) : nullptr;
      const double count = (item < index_.items() ? static_cast<double>(index_.item_counts[item]) : 0) +
                           (live != nullptr ? live->count : 0);
      score *= static_cast<float>(std::log(sessions / std::max(1.0, count)));
    }
    if (score > 0) {
      scratch->list.push_back({ItemNumber{item}, score});
    }
  }
  const auto better = [](const ScoredItem& a, const ScoredItem& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  };
  if (scratch->list.size() > n) {
    std::nth_element(scratch->list.begin(), scratch->list.begin() + static_cast<std::ptrdiff_t>(n), scratch->list.end(),
                     better);
    scratch->list.resize(n);
  }
  std::sort(scratch->list.begin(), scratch->list.end(), better);
  return scratch->list;
}

}  // namespace tributary
