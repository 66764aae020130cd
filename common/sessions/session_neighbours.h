#ifndef TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_
#define TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/sessions/live_session_index.h"
#include "common/sessions/session_index.h"

namespace tributary {

// What comes next in a session, by the past sessions most like it: VMIS-kNN (Kersbergen, Sprangers, Schelter:
// "Serenade", SIGMOD 2022, algorithm 2) with the parts of V-STAN (Ludewig, Mauro, Latifi, Jannach: "Empirical Analysis
// of Session-Based Recommendation Algorithms", UMUAI 2021) that are asked for.
//
// Of the session's last L different items, the j-th latest (j = 0, 1 ...) of l has the weight (l - j) / l. Among the m
// most recent sessions that share one of them,
//   similarity(n) = sum of the weights of the items that n has  [/ sqrt(l |n|)]  [* 2^(-(t - t_n) / half-life)]
// with t the time of the latest of them: only how they compare counts, whenever it is asked. The k most similar vote
// for their items, with j(n) the latest item that n shares:
//   score(i) = sum over n of similarity(n) * max(0, 1 - .1 (j(n) + 1)) * [2^(-|pos_n(i) - pos_n(j)| / half-life)] *
//   [idf(i)]
// with idf(i) = log(sessions / sessions that have i).
struct SessionNeighbourOptions {
  size_t recent_sessions = 1500;         // m >= 1
  size_t neighbours = 288;               // k >= 1
  size_t last_items = 4;                 // L >= 1
  bool by_length = false;                // V-STAN: similarity over sqrt(l |n|).
  double session_half_life_seconds = 0;  // V-STAN: of a past session's weight; 0: its age does not count.
  double item_half_life_places = 2;      // V-STAN: of an item's distance to the match; 0: it does not count.
  bool by_idf = true;                    // Rare items count more.
};

// What is asked for.
struct SessionQuery {
  absl::Span<const uint32_t> items;  // The session's, oldest first, repeats allowed; unknown ones are passed over.
  int64_t now_unix_ms = 0;           // For a SessionSearch that keeps lists.
  // Sessions that the index does not have. Null: none. The caller's EpochGuard is open.
  const LiveSessionIndex* live = nullptr;
  // Whose session it is among the live ones, and its time: it is no neighbour of itself. 0: not among them.
  uint64_t user = 0;
  int64_t session_time_unix_ms = 0;
};

// With live sessions, past sessions are those of both, where one that goes on with a stored one stands for it. The time
// of a live session is then when it had the latest item shared with it.
// Threads: immutable; each thread needs its own Scratch, which is for any indexes, one after the other.
class SessionNeighbours {
 public:
  // Memory: 4 bytes a session and an item.
  class Scratch {
    friend class SessionNeighbours;
    struct Found {
      int64_t recency = 0;  // Time, or where there are no live sessions the number, which is in the order of time.
      uint32_t number = 0;  // Of a stored session; from their number on slots of live ones.
      float similarity = 0;
    };
    std::vector<float> similarities;  // By number; 0 between calls.
    std::vector<float> scores;        // By item; 0 between calls.
    std::vector<Found> found;
    std::vector<uint32_t> items;
    std::vector<uint32_t> latest;
    std::vector<ScoredItem> list;
  };

  // Borrows what `index` shows.
  SessionNeighbours(const SessionIndex& index, const SessionNeighbourOptions& options);

  const SessionIndex& index() const { return index_; }

  // The best n items (n >= 1) with a score above 0, best first, ties by smaller item; what the session has may be among
  // them. Lies in `scratch` until its next use.
  absl::Span<const ScoredItem> Next(const SessionQuery& query, size_t n, Scratch* scratch) const;

 private:
  void Latest(const SessionQuery& query, Scratch* scratch) const;
  void FindStored(const SessionQuery& query, Scratch* scratch) const;
  void FindLive(const LiveSessionIndex& live, Scratch* scratch) const;
  void ChooseSessions(const SessionQuery& query, Scratch* scratch) const;
  int64_t TimeOf(const Scratch::Found& one) const {
    return one.number < index_.sessions() ? index_.session_times_unix_ms[one.number] : one.recency;
  }
  void Vote(const SessionQuery& query, Scratch* scratch) const;
  void Vote(absl::Span<const uint32_t> items, float similarity, const SessionQuery& query, Scratch* scratch) const;
  // The votes into the list, without order; `scores` is cleared.
  void WeighItems(const SessionQuery& query, Scratch* scratch) const;
  double LogOf(uint64_t count) const;

  const SessionIndex index_;
  const SessionNeighbourOptions options_;
  std::vector<float> fading_;  // By distance to the match.
  std::vector<double> logs_;   // Of small numbers.
};

// How a merge asks for neighbours: one that keeps what it found may give it again.
// Threads: call from any thread with a scratch of its own. What it gives lies there or is kept while the caller's
//          EpochGuard is open.
class SessionSearch {
 public:
  virtual ~SessionSearch() = default;
  // As neighbours.Next(query, n, scratch).
  virtual absl::Span<const ScoredItem> Next(const SessionNeighbours& neighbours, const SessionQuery& query, size_t n,
                                            SessionNeighbours::Scratch* scratch) const = 0;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_
