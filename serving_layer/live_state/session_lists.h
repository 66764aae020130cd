#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_SESSION_LISTS_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_SESSION_LISTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/sessions/session_neighbours.h"
#include "serving_layer/context/user_memo.h"

namespace tributary::serving {

// What comes next in users' sessions, kept beside one snapshot and one live session index, since most requests come
// from users who did nothing since the one before.
//
// A list is good for one user and one session to the item: who acts, or asks with another basket, is always searched
// anew. It is given again as long as the live session index is as it was, and after that while it is younger than
// `max_age`, counted by the time of the requests: then what others did meanwhile does not count yet. With max_age 0
// the answers are those of a search each time.
// Threads: as UserMemo.
class SessionLists final : public SessionSearch {
 public:
  struct Options {
    int64_t memory_budget_bytes = 1 << 20;
    absl::Duration max_age = absl::ZeroDuration();
  };
  explicit SessionLists(const Options& options);

  // query.live is that index, or null: nothing is kept.
  absl::Span<const ScoredItem> Next(const SessionNeighbours& neighbours, const SessionQuery& query, size_t n,
                                    SessionNeighbours::Scratch* scratch) const override;

  int64_t bytes() const { return memo_.bytes(); }

 private:
  struct Entry {
    uint64_t user = 0;
    uint64_t version = 0;       // The session, and how many items were asked for.
    uint64_t live_version = 0;  // Of the live session index, before the search.
    int64_t made_unix_ms = 0;
    std::vector<ScoredItem> list;
  };

  const int64_t max_age_ms_;
  mutable UserMemo<Entry> memo_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_SESSION_LISTS_H_
