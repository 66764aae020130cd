#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_ITEM_TRENDS_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_ITEM_TRENDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"

namespace tributary::serving {

// What was acted on most in the last hours: the live counts by item, summed over partitions and segments into quarter-hours
// of event time. A view or click weighs 1, a like 2, an add-to-cart 3, a purchase 5. All that is live counts, on either side
// of W: what is short-term is a function of event time alone (design.md, the seam law).
//
// Cost:    a round looks at the segments that changed since the round before, in time linear in their counts; a window is
//          summed when it is first asked for after a round that changed something.
// Memory:  an entry for each item and quarter-hour of the last kLongestWindow, and the live segments as last seen.
// Threads: RunOnce from one thread, Top from any; Top may wait for one segment to be counted.
class ItemTrends {
 public:
  static constexpr int kLongestWindowQuarters = 24 * 4 + 1;
  static constexpr size_t kLongestList = 10'000;
  // By weight, the heaviest first, then id.
  using List = std::vector<std::pair<std::string, int64_t>>;

  // What one event adds; 0: nothing.
  static int64_t WeightOf(v1::EventType type);
  // The heaviest kLongestList.
  static List Sorted(const absl::flat_hash_map<absl::string_view, int64_t>& sums);

  explicit ItemTrends(const LiveState& live) : live_(live) {}

  // Takes in what changed.
  void RunOnce(absl::Time now);
  // Takes the list of kLadderWindow as it is by now for the items of the contexts that are served. Without an EpochGuard open. In
  // RunOnce's thread.
  void Resolve(absl::Time now, const ContextPublisher& context);
  // That list, for the fallback ladder: best first, at most kLadderLength; empty: there is none for this snapshot's numbers.
  // Never waits. Valid while the caller's EpochGuard is open.
  absl::Span<const ScoredItem> Resolved(const ServingContext& context) const {
    if (const std::vector<ForLadder>* const resolved = for_ladder_.Load(); resolved != nullptr) {
      for (const ForLadder& of_snapshot : *resolved) {
        if (of_snapshot.snapshot == context.snapshot) {
          return of_snapshot.list;
        }
      }
    }
    return {};
  }
  // The quarter-hours from the one of `now - window` to that of `now`, both in. Window: up to 24 h.
  std::shared_ptr<const List> Top(absl::Time now, absl::Duration window);

 private:
  static constexpr absl::Duration kLadderWindow = absl::Hours(2);
  static constexpr size_t kLadderLength = 500;
  struct ForLadder {
    std::shared_ptr<const LoadedSnapshot> snapshot;   // Whose numbers they are; those of items that only the topic has follow it.
    std::vector<ScoredItem> list;
  };
  using Quarter = absl::flat_hash_map<std::string, int64_t>;

  void Count(const SegmentCounts& counts, int64_t sign);

  const LiveState& live_;
  Rcu<std::vector<ForLadder>> for_ladder_;            // Of the current snapshot and the other one.
  std::vector<LiveSegments> counted_;                 // By partition; RunOnce's thread alone.
  Mutex mutex_;
  int64_t first_quarter_ ABSL_GUARDED_BY(mutex_) = 0;   // Older ones are not kept.
  std::map<int64_t, Quarter> quarters_ ABSL_GUARDED_BY(mutex_);
  // By first and last quarter; emptied by what changes them.
  std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const List>> lists_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_ITEM_TRENDS_H_
