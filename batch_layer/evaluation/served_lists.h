#ifndef TRIBUTARY_BATCH_LAYER_EVALUATION_SERVED_LISTS_H_
#define TRIBUTARY_BATCH_LAYER_EVALUATION_SERVED_LISTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/merge.h"

namespace tributary::batch {

// What a request is answered from beside the user's list. Borrowed.
struct ServingWorld {
  const Catalogue* catalogue = nullptr;  // Its numbers are those of the lists.
  const RuleSet* rules = nullptr;        // Null: none.
  const MergePolicy* policy = nullptr;
  int64_t now_unix_ms = 0;  // Of the request: availability and rules are those of this time.
  // What is known of sessions, in any order, each with its user's row; empty: nothing.
  absl::Span<const PastSession> sessions;
};

// What a user did just now.
struct LiveRequest {
  absl::Span<const Fact> facts;    // By offset.
  const SessionNeighbours* sessions = nullptr;
  SourceWeights weights;
  bool newcomer = false;           // As in MergeInput.
};

// What the serving layer shows of a user's list, by common/merge: what is measured is what is served. The request asks for
// what is new to the user (exclude_seen); where the list runs short, the fallback ladder fills up. Not thread-safe.
class ServedLists {
 public:
  // `item_users`: by item, the users of the training part who have it; the popular items are by that.
  ServedLists(const ServingWorld& world, absl::Span<const uint32_t> item_users);
  ~ServedLists();

  // The first `k` items for a user who has `own` (ascending) of whom nothing live is known: best first, of what is in no
  // list too. Errors as of Merge.
  absl::StatusOr<std::vector<ScoredItem>> Serve(absl::Span<const ScoredItem> list, absl::Span<const uint32_t> own,
                                                size_t k) {
    return Serve(list, own, nullptr, k);
  }
  // The same for a user who acts.
  absl::StatusOr<std::vector<ScoredItem>> Serve(absl::Span<const ScoredItem> list, absl::Span<const uint32_t> own,
                                                const LiveRequest& live, size_t k) {
    return Serve(list, own, &live, k);
  }

 private:
  class Views;

  absl::StatusOr<std::vector<ScoredItem>> Serve(absl::Span<const ScoredItem> list, absl::Span<const uint32_t> own,
                                                const LiveRequest* live, size_t k);

  const ServingWorld world_;
  const std::unique_ptr<const Views> views_;
  MergeScratch scratch_;
  MergeResult result_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_EVALUATION_SERVED_LISTS_H_
