#ifndef TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_
#define TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/event/event.h"
#include "common/event/recent_ids.h"
#include "common/ids/ids.h"
#include "common/user_state/fact.h"
#include "common/user_state/packed_facts.h"
#include "tributary/v1/speed.pb.h"

namespace tributary {

inline constexpr size_t kRecentFacts = 64;                            // Kept below the floor, a user and partition.
inline constexpr int64_t kRecentFactMs = 24LL * 3600 * 1000;          // Of record time. Of impressions too.

// How much is kept of a user on one partition.
struct UserLimits {
  size_t facts = 0;
  size_t impressions = 0;  // 0: none is kept.
};

// The speed layer's state of one user on one partition: what a speed view carries. A function of the partition's log up
// to the applied offset and of the floor, nothing else: the same events and floor give the same view.
//
// Limits:  at most UserLimits::facts at or above the floor: past that page views and searches go first, then views and
//          clicks, then other kinds, then decisions (purchase, return, like, dislike, rating), forgets last; the oldest
//          of each first. All but forgets make room for a sixteenth of them at once. truncated() says so. Past
//          UserLimits::impressions the oldest go, as many at once.
// Threads: not thread-safe.
class LiveUser {
 public:
  enum class Outcome { kAccepted, kDuplicate };

  // Takes in one valid event. Offsets must grow from call to call; the record time must not fall.
  // A FORGET drops every fact that it hides (event time not after its own), and ids stay, so that repeats stay refused.
  // While it is in the view, hidden facts that come later are not kept either; once it has left the view it lies below
  // every W, and every snapshot hides them (UserHistory).
  Outcome Apply(const Event& event, Offset offset, int64_t record_time_unix_ms, const UserLimits& limits);

  // Moves facts below `floor` to the recent ones and lets go of what of them, of ids and impressions is older than 24 h of
  // record time. The floor only rises. True when that changed what ToProto would write, `position` aside.
  bool Trim(Offset floor, int64_t record_time_unix_ms);

  // Trim has nothing to do while the floor is not above `floor` and the record time no more than 24 h after `record_time`.
  struct Untrimmed {
    Offset floor{std::numeric_limits<int64_t>::max()};
    int64_t record_time_unix_ms = std::numeric_limits<int64_t>::max();
  };
  Untrimmed untrimmed() const;

  // True when there is nothing left to keep: a tombstone takes the view's place.
  bool empty() const {
    return facts_.empty() && recent_.empty() && recent_ids_.empty() && impressions_.empty() && !truncated();
  }
  // Facts at or above the floor are missing, since there were too many. Ends when the floor has passed them.
  bool truncated() const { return truncated_end_ > Offset{0}; }
  std::vector<Fact> facts() const { return facts_.ToVector(); }    // At or above the floor, by offset.
  std::vector<Fact> recent() const { return recent_.ToVector(); }  // Below the floor, by offset.
  std::vector<Fact> impressions() const { return impressions_.Get().ToVector(); }  // By offset.
  const RecentIds& recent_ids() const { return recent_ids_; }
  // What it takes beside itself.
  size_t allocated_bytes() const {
    return facts_.allocated_bytes() + recent_.allocated_bytes() + recent_ids_.allocated_bytes() +
           impressions_.allocated_bytes();
  }

  // Brings near what Apply reads.
  void Prefetch() const {
    facts_.Prefetch();
    recent_ids_.Prefetch();
  }

  // InvalidArgument: arrays of different length, facts or ids out of order, a fact of a kind that does not belong there.
  static absl::StatusOr<LiveUser> FromProto(const v1::SpeedView& view);
  // The same from the bytes of a view; DataLoss: they are no view.
  static absl::StatusOr<LiveUser> FromBytes(absl::string_view bytes);
  // Everything but `position`, into an empty message.
  void ToProto(v1::SpeedView* view) const;
  // The same, as the bytes of such a message, appended: after those of a `position` they make a whole view.
  void AppendBytes(std::string* bytes) const;

 private:
  static constexpr int64_t kNeverForgotten = std::numeric_limits<int64_t>::min();

  // Facts of which most users have none: they cost those no more than a pointer.
  class RareFacts {
   public:
    RareFacts() = default;
    RareFacts(const RareFacts& other) : facts_(other.facts_ ? std::make_unique<PackedFacts>(*other.facts_) : nullptr) {}
    RareFacts(RareFacts&&) noexcept = default;
    RareFacts& operator=(RareFacts other) noexcept {
      facts_.swap(other.facts_);
      return *this;
    }
    ~RareFacts() = default;

    bool empty() const { return facts_ == nullptr; }
    const PackedFacts& Get() const;
    void Append(const FactView& fact) {
      if (facts_ == nullptr) facts_ = std::make_unique<PackedFacts>();
      facts_->Append(fact);
    }
    template <typename Keep>
    bool KeepIf(Keep keep) {
      if (facts_ == nullptr || !facts_->KeepIf(keep)) return false;
      if (facts_->empty()) facts_ = nullptr;
      return true;
    }
    size_t allocated_bytes() const { return facts_ ? sizeof(PackedFacts) + facts_->allocated_bytes() : 0; }

   private:
    std::unique_ptr<PackedFacts> facts_;  // Never of nothing.
  };

  // Takes over what usual bytes of a view say; false where FromProto has to decide.
  bool ReadBytes(absl::string_view bytes);
  // What FromProto and FromBytes do with each fact and at the end.
  absl::Status Restore(const FactView& fact, absl::string_view field, PackedFacts* facts);
  absl::Status RestoreImpression(const FactView& fact);
  absl::Status FinishRestore(bool truncated, int64_t truncated_end);

  void DropHidden(int64_t until_unix_ms);
  void FindForgets();
  void Bound(size_t max_facts);
  // Keeps the last kRecentFacts, and of them and of the impressions those that are young enough; true when others went.
  bool PruneRecent(int64_t record_time_unix_ms);
  // Of an impression that no FORGET of the view hides.
  void AddImpression(const Event& event, Offset offset, int64_t record_time_unix_ms, size_t most);

  PackedFacts facts_;
  PackedFacts recent_;
  RecentIds recent_ids_;
  RareFacts impressions_;
  Offset truncated_end_{0};   // After the last fact that was dropped at the limit; 0: none.
  int64_t forgotten_until_unix_ms_ = kNeverForgotten;   // Event time of the latest FORGET in facts_ and recent_.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_LIVE_USER_H_
