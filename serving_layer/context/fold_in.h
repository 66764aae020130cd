#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_FOLD_IN_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_FOLD_IN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "common/ials/fold_in.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"
#include "common/user_state/observations.h"
#include "common/user_state/user_history.h"
#include "serving_layer/context/user_memo.h"

namespace tributary::serving {

// Lists of users who have acted since W, from one snapshot's factors: what iALS would have given had it known. The
// lists are memoised by user and version, the version being a hash of all that the user's facts are a function of.
//
// Seen is cheap (microseconds); List then passes over all factors, which a request is to wait for only where at_once().
//
// Memory:  the memo's budget, see UserMemo.
// Threads: call from any thread; the memo as UserMemo says.
class FoldIn {
 public:
  struct Options {
    int64_t memory_budget_bytes = int64_t{64} << 20;   // Of the memo.
    int64_t at_once_bytes = int64_t{16} << 20;         // Of factors, d + 12 bytes an item.
  };
  // What Seen leaves for List.
  struct Scratch {
    std::vector<ItemObservation> before, now;
    double share = 1;   // Of what is folded in, beside the stored list.
    std::vector<uint32_t> columns;
    std::vector<float> weights;
    IalsFoldIn::Scratch ials;
  };
  struct Memo {
    uint64_t user = 0;
    uint64_t version = 0;
    bool changed = false;   // Else what the snapshot has holds.
    std::optional<int64_t> forgotten_until_unix_ms;   // Of the history that it is of.
    std::vector<ScoredItem> list;                     // When changed.
  };

  // Borrows what `factors` shows.
  FoldIn(const SnapshotFactors& factors, const v1::FoldIn& model, const Options& options);

  // Of a user whose state is `now` where it was `before` when the snapshot was made, with `stored` as its list. False: the
  // models would see nothing new, or what they see does not count beside `stored`, which holds.
  bool Seen(const UserHistory& before, const UserHistory& now, absl::Span<const ScoredItem> stored, Scratch* scratch) const;
  // The list of what was seen last, beside `stored` as there (common/merge/mixed_list.h), which counts no more once the user was
  // forgotten or nothing is left of what it rests on.
  std::vector<ScoredItem> List(absl::Span<const ScoredItem> stored, Scratch* scratch) const;
  // Whether a request may wait for List: nothing is known of the user, there are few factors, or the memo could not keep what is
  // made beside.
  bool at_once(const Scratch& scratch) const { return at_once_ || scratch.now.empty(); }

  UserMemo<Memo>& memo() const { return memo_; }
  int64_t compact_bytes() const { return fold_in_.compact_bytes(); }   // Of factors, beside the mapped ones.

 private:
  void Observe(const UserHistory& history, std::vector<ItemObservation>* observations) const;

  const IalsFoldIn fold_in_;
  const uint32_t items_;
  const ObservationOptions options_;
  const size_t list_length_;
  const double share_;   // Of what is folded in, beside a stored list.
  const bool at_once_;
  mutable UserMemo<Memo> memo_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_FOLD_IN_H_
