#ifndef TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_
#define TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/dense/top_items.h"
#include "common/ids/ids.h"
#include "common/sessions/session_index.h"

namespace tributary {

// What comes next in a session, by the past sessions most like it: VMIS-kNN (Kersbergen, Sprangers, Schelter:
// "Serenade", SIGMOD 2022, algorithm 2) with the parts of V-STAN (Ludewig, Mauro, Latifi, Jannach: "Empirical Analysis
// of Session-Based Recommendation Algorithms", UMUAI 2021) that are asked for.
//
// Of the session's last L different items, the j-th latest (j = 0, 1 ...) of l has the weight (l - j) / l. Among the m
// most recent sessions that share one of them,
//   similarity(n) = sum of the weights of the items that n has  [/ sqrt(l |n|)]  [* 2^(-(t - t_n) / half-life)]
// The k most similar vote for their items, with j(n) the latest item that n shares:
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

// Threads: immutable; each thread needs its own Scratch, which is for one index at a time.
class SessionNeighbours {
 public:
  // Memory: 4 bytes a session and an item.
  class Scratch {
    friend class SessionNeighbours;
    std::vector<float> similarities;  // By session; 0 between calls.
    std::vector<float> scores;        // By item; 0 between calls.
    std::vector<uint32_t> sessions;
    std::vector<uint32_t> items;
    std::vector<uint32_t> latest;
  };

  // Borrows what `index` shows.
  SessionNeighbours(const SessionIndex& index, const SessionNeighbourOptions& options)
      : index_(index), options_(options) {}

  // The best n items (n >= 1) with a score above 0, best first, ties by smaller item; what the session has may be among
  // them. `items`: the session's, oldest first, repeats allowed; those beyond the index are passed over. `now_unix_ms`:
  // t.
  std::vector<ScoredItem> Next(absl::Span<const uint32_t> items, int64_t now_unix_ms, size_t n, Scratch* scratch) const;

 private:
  void Latest(absl::Span<const uint32_t> items, Scratch* scratch) const;
  void FindSessions(int64_t now_unix_ms, Scratch* scratch) const;
  void Vote(uint32_t session, Scratch* scratch) const;

  const SessionIndex index_;
  const SessionNeighbourOptions options_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SESSIONS_SESSION_NEIGHBOURS_H_
