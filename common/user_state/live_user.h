#ifndef TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_
#define TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event/event.h"
#include "common/event/recent_ids.h"
#include "common/ids/ids.h"
#include "common/user_state/fact.h"
#include "tributary/v1/speed.pb.h"

namespace tributary {

inline constexpr size_t kRecentFacts = 64;                            // Kept below the floor, a user and partition.
inline constexpr int64_t kRecentFactMs = 24LL * 3600 * 1000;          // Of record time.

// The speed layer's state of one user on one partition: what a speed view carries. A function of the partition's log up
// to the applied offset and of the floor, nothing else: the same events and floor give the same view.
//
// Limits:  at most `max_facts` facts at or above the floor: past that page views and searches go first, then views and
//          clicks, then the oldest; suppressions (purchase, return, dislike, rating, forget) last. truncated() says so.
// Threads: not thread-safe.
class LiveUser {
 public:
  enum class Outcome { kAccepted, kDuplicate };

  // Takes in one valid event. Offsets must grow from call to call; the record time must not fall.
  // A FORGET drops every fact that it hides (event time not after its own), and ids stay, so that repeats stay refused.
  Outcome Apply(const Event& event, Offset offset, int64_t record_time_unix_ms, size_t max_facts);

  // Moves facts below `floor` to the recent ones and lets go of what is older than 24 h of record time.
  // The floor only rises. True when that changed what ToProto would write, `position` aside.
  bool Trim(Offset floor, int64_t record_time_unix_ms);

  // True when there is nothing left to keep: a tombstone takes the view's place.
  bool empty() const { return facts_.empty() && recent_.empty() && recent_ids_.empty(); }
  bool truncated() const { return truncated_; }
  const std::vector<Fact>& facts() const { return facts_; }     // At or above the floor, by offset.
  const std::vector<Fact>& recent() const { return recent_; }   // Below the floor, by offset.
  const RecentIds& recent_ids() const { return recent_ids_; }

  // InvalidArgument: arrays of different length, facts out of order.
  static absl::StatusOr<LiveUser> FromProto(const v1::SpeedView& view);
  // Everything but `position`.
  void ToProto(v1::SpeedView* view) const;

 private:
  void DropHidden(const Fact& forget);
  void Bound(size_t max_facts);

  std::vector<Fact> facts_;
  std::vector<Fact> recent_;
  RecentIds recent_ids_;
  bool truncated_ = false;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_
