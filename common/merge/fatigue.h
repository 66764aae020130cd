#ifndef TRIBUTARY_COMMON_MERGE_FATIGUE_H_
#define TRIBUTARY_COMMON_MERGE_FATIGUE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"
#include "common/merge/merge.h"
#include "common/merge/policy.h"
#include "common/user_state/user_history.h"

namespace tributary {

// The items that a user was shown in vain: of each, the impressions that are in the window, later (by event time) than every
// decision on the item, and not hidden by a FORGET. One ahead of `now` has age 0. Neither W nor the floor says anything of
// impressions; decisions have their seam in UserHistory. Threads: not thread-safe.
class Fatigue {
 public:
  // `history`: the snapshot's with what is live.
  void Compute(absl::Span<const LivePartition> partitions, const UserHistory& history, const Catalogue& catalogue,
               const MergePolicy::Fatigue& policy, int64_t now_unix_ms);
  void Clear() { items_.clear(); }

  // Says of no item anything.
  bool empty() const { return items_.empty(); }
  // What an item is multiplied by: 1 / (1 + strength * (n - impressions + 1)) for n >= impressions, else 1.
  double FactorOf(ItemNumber item) const;
  // One reason, if the factor is not 1.
  void AppendReason(ItemNumber item, std::vector<MergeReason>* reasons) const;

 private:
  struct Item {
    ItemNumber item{};
    EventCause latest;
    int32_t impressions = 0;
    double factor = 1;
  };
  struct Impression {
    ItemNumber item{};
    int64_t event_time_unix_ms = 0;
    EventPosition position;
  };

  const Item* Find(ItemNumber item) const;

  std::vector<Item> items_;              // Those that are damped, by number.
  std::vector<Impression> impressions_;  // Buffer of Compute.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_FATIGUE_H_
