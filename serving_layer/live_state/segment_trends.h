#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_SEGMENT_TRENDS_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_SEGMENT_TRENDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/item_trends.h"
#include "serving_layer/live_state/live_state.h"

namespace tributary::serving {

// What was acted on most in the last hours among the users of one segment. Live counts know no users, so it is summed from
// the facts of the live views of users who have a segment and did not refuse to be learned from: without impressions and
// anonymous events, and as far back as the views have a user's facts. Weights and windows as of ItemTrends.
//
// Cost:    a round looks at the users who changed since the round before, in time linear in their facts, and copies the
//          quarter-hours that they touched; a window is summed for each request.
// Memory:  an entry for each segment, item and quarter-hour of the last 24 h; the views of these users as last seen.
// Threads: UserChanged and RunOnce from one thread each; Top from any with an EpochGuard open, without ever waiting.
class SegmentTrends {
 public:
  explicit SegmentTrends(const LiveState& live) : live_(live) {}

  // What the live views or the company say of the user has changed.
  void UserChanged(const std::string& user_id);
  // Takes in what changed. Without an EpochGuard open.
  void RunOnce(absl::Time now, const ContextPublisher& context);
  // As of ItemTrends::Top. An unknown segment has none.
  ItemTrends::List Top(absl::string_view segment, absl::Time now, absl::Duration window) const;

 private:
  using Quarter = absl::flat_hash_map<std::string, int64_t>;   // By item id.
  using Quarters = std::map<int64_t, std::shared_ptr<const Quarter>>;
  using Segments = absl::flat_hash_map<std::string, Quarters>;
  struct Counted {
    std::string segment;
    LiveUserViews views;
  };
  // Quarter-hours that this round changes.
  using Changed = std::map<std::pair<std::string, int64_t>, Quarter>;

  void Count(const Counted& user, int64_t sign, int64_t first_quarter, Changed* changed) const;

  const LiveState& live_;
  Mutex mutex_;
  std::vector<std::string> changed_users_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Counted> counted_;   // By user id; RunOnce's thread alone, as the next.
  Segments segments_;
  Rcu<Segments> published_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_SEGMENT_TRENDS_H_
