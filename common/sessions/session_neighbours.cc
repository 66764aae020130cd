#include "common/sessions/session_neighbours.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace tributary {
namespace {

constexpr double kMatchStep = 0.1;  // What a place further back in the session costs a neighbour's vote.
constexpr size_t kLogs = 4096;
// How far ahead the memory is asked for what comes next: places that lie anywhere, one after the other.
constexpr size_t kAhead = 16;

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
  for (size_t count = 0; count < kLogs; ++count) {
    logs_.push_back(std::log(static_cast<double>(std::max<size_t>(1, count))));
  }
}

double SessionNeighbours::LogOf(uint64_t count) const {
  return count < kLogs ? logs_[count] : std::log(static_cast<double>(count));
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
    const absl::Span<const uint32_t> all = index_.SessionsOf(scratch->latest[j]);
    const absl::Span<const uint32_t> sessions = all.first(std::min(all.size(), options_.recent_sessions));
    for (size_t i = 0; i < sessions.size(); ++i) {
      const uint32_t session = sessions[i];
      if (i + kAhead < sessions.size()) {
        __builtin_prefetch(&scratch->similarities[sessions[i + kAhead]], 1);
      }
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
    const size_t count = std::min(sessions->entries.size(), options_.recent_sessions);
    for (size_t i = 0; i < count; ++i) {
      const LiveSessionIndex::Entry& entry = sessions->entries[i];
      if (i + kAhead < count) {
        __builtin_prefetch(scratch->similarities.data() + index_.sessions() + sessions->entries[i + kAhead].slot, 1);
      }
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
    int64_t latest_unix_ms = std::numeric_limits<int64_t>::min();
    for (const Scratch::Found& one : found) {
      latest_unix_ms = std::max(latest_unix_ms, TimeOf(one));
    }
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
        const double age_seconds = static_cast<double>(latest_unix_ms - TimeOf(one)) / 1000;
        similarity *= std::exp2(-age_seconds / options_.session_half_life_seconds);
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

void SessionNeighbours::Vote(absl::Span<const uint32_t> items, float similarity, const SessionQuery& query,
                             Scratch* scratch) const {
  // Its match is the latest item of the session that it has: without a branch, as nothing could foretell one.
  constexpr size_t kNoMatch = SIZE_MAX;
  size_t best = kNoMatch;
  for (size_t j = scratch->latest.size(); j-- > 0;) {
    const uint32_t item = scratch->latest[j];
    for (size_t i = 0; i < items.size(); ++i) {
      best = items[i] == item ? j * SessionIndexArrays::kLongestSession + i : best;
    }
  }
  const size_t j = best / SessionIndexArrays::kLongestSession;
  const size_t match = best % SessionIndexArrays::kLongestSession;
  const auto vote = static_cast<float>(similarity * (1 - kMatchStep * static_cast<double>(j + 1)));
  if (best == kNoMatch || vote <= 0) {
    return;  // A live session may have changed since it was found.
  }
  const size_t voted = scratch->items.size();
  scratch->items.resize(voted + items.size());
  uint32_t* next = scratch->items.data() + voted;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i] >= scratch->scores.size()) {
      scratch->scores.resize(items[i] + size_t{1});
    }
    float& sum = scratch->scores[items[i]];
    *next = items[i];
    next += sum == 0;
    sum += vote * fading_[i > match ? i - match : match - i];
    if (query.live != nullptr) {
      query.live->PrefetchItem(items[i]);
    }
  }
  scratch->items.resize(static_cast<size_t>(next - scratch->items.data()));
}

void SessionNeighbours::Vote(const SessionQuery& query, Scratch* scratch) const {
  const std::vector<Scratch::Found>& found = scratch->found;
  const uint32_t stored = index_.sessions();
  // What is `steps` away from its turn: first where a session lies, then itself, then its items.
  const auto prefetch = [&](size_t at, size_t steps) {
    if (at >= found.size()) {
      return;
    }
    const uint32_t number = found[at].number;
    if (number < stored) {
      if (steps == 3) {
        __builtin_prefetch(&index_.session_offsets[number]);
      } else if (steps == 2) {
        __builtin_prefetch(&index_.session_items[index_.session_offsets[number]]);
      }
    } else if (steps == 3) {
      query.live->PrefetchSlot(number - stored);
    } else if (const LiveSessionIndex::Session* const session = query.live->At(number - stored); session != nullptr) {
      steps == 2 ? __builtin_prefetch(session) : __builtin_prefetch(session->items.data());
    }
  };
  constexpr size_t kStep = kAhead / 4;
  for (size_t at = 0; at < 3 * kStep; ++at) {
    prefetch(at, 3);
  }
  for (size_t at = 0; at < 2 * kStep; ++at) {
    prefetch(at, 2);
  }
  for (size_t at = 0; at < found.size(); ++at) {
    prefetch(at + 3 * kStep, 3);
    prefetch(at + 2 * kStep, 2);
    prefetch(at + kStep, 1);
    const Scratch::Found& one = found[at];
    if (one.number < stored) {
      Vote(index_.ItemsOf(one.number), one.similarity, query, scratch);
      continue;
    }
    const LiveSessionIndex::Session* const session = query.live->At(one.number - stored);
    const bool own = session != nullptr && query.user != 0 && session->user == query.user &&
                     session->time_unix_ms == query.session_time_unix_ms;
    if (session != nullptr && !own) {
      Vote(session->items, one.similarity, query, scratch);
    }
  }
}

void SessionNeighbours::WeighItems(const SessionQuery& query, Scratch* scratch) const {
  const uint64_t sessions = uint64_t{index_.sessions()} + (query.live != nullptr ? query.live->sessions() : 0);
  const double log_sessions = LogOf(sessions);
  const std::vector<uint32_t>& items = scratch->items;
  for (size_t at = 0; at < items.size(); ++at) {
    if (at + kAhead < items.size()) {
      const uint32_t ahead = items[at + kAhead];
      if (query.live != nullptr) {
        __builtin_prefetch(query.live->SessionsOf(ahead));
      }
      if (ahead < index_.items()) {
        __builtin_prefetch(&index_.item_counts[ahead]);
      }
    }
    const uint32_t item = items[at];
    float score = scratch->scores[item];
    scratch->scores[item] = 0;
    if (options_.by_idf) {
      const LiveSessionIndex::SessionsOfItem* const live =
          query.live != nullptr ? query.live->SessionsOf(item) : nullptr;
      const uint64_t count =
          uint64_t{item < index_.items() ? index_.item_counts[item] : 0} + (live != nullptr ? live->count : 0);
      score *= static_cast<float>(log_sessions - LogOf(count));
    }
    if (score > 0) {
      scratch->list.push_back({ItemNumber{item}, score});
    }
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
  Vote(query, scratch);
  WeighItems(query, scratch);
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
