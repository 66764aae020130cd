#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_POPULARITY_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_POPULARITY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/merge/merge.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"

namespace tributary::serving {

// A snapshot's lists, with those of popular items, overall and by category, counted on by what is live: what an event of a
// kind adds halves with its age as the snapshot's manifest says, on either side of W; an event at or above W counts from the
// live counts, by its quarter-hour, and one below W from the snapshot alone (design.md, the seam law).
//
// Exact for the items of the snapshot's list; one that the list does not have counts by its live events alone, so at most the
// list's last score too little. Live counts know no users: the lists of segments stay the snapshot's, and what users do who
// refuse to be learned from counts until a snapshot has passed it.
class PopularNow final : public CandidateViews {
 public:
  absl::Span<const ScoredItem> Neighbours(ItemNumber item) const override { return snapshot_->Neighbours(item); }
  absl::Span<const ScoredItem> Popular() const override { return popular_; }
  absl::Span<const ScoredItem> PopularIn(CategoryNumber category) const override {
    const auto found = popular_in_.find(Value(category));
    return found == popular_in_.end() ? snapshot_->PopularIn(category) : absl::MakeConstSpan(found->second);
  }
  absl::Span<const ScoredItem> PopularAmong(absl::string_view segment) const override {
    return snapshot_->PopularAmong(segment);
  }

 private:
  friend class LivePopularity;
  std::shared_ptr<const LoadedSnapshot> snapshot_;
  std::vector<ScoredItem> popular_;
  absl::flat_hash_map<uint32_t, std::vector<ScoredItem>> popular_in_;   // Categories with a live item.
};

// Keeps a PopularNow for each snapshot that is served.
//
// Cost:    a round looks at the segments that changed since the round before, in time linear in their counts; when any did, or
//          the catalogue, it makes the lists anew, in time linear in the items that have live counts.
// Memory:  a sum for each item with live counts above W, and the live segments as last seen.
// Threads: RunOnce from one thread, without an EpochGuard open; Of from any, never waits, valid while its guard is open.
class LivePopularity {
 public:
  // `segment_size`: B.
  LivePopularity(const LiveState& live, int64_t segment_size) : live_(live), segment_size_(segment_size) {}

  // Takes in what changed.
  void RunOnce(absl::Time now, const ContextPublisher& context);
  // Null: the snapshot does not say how it counted, or it was not looked at yet.
  const PopularNow* Of(const ServingContext& context) const;

 private:
  // Live counts of one snapshot, in units of 2^-24 as of `reference`.
  struct Sums {
    std::shared_ptr<const LoadedSnapshot> snapshot;
    std::array<double, v1::EventType_ARRAYSIZE> weights{};
    double half_life_ms = 1;
    int64_t reference_unix_ms = 0;         // What an event of then adds its weight as of; moves on when it lies long back.
    std::vector<LiveSegments> counted;     // By partition.
    absl::flat_hash_map<std::string, int64_t> items;
    std::shared_ptr<const Catalogue> catalogue;   // That the lists were made by; null: none yet.
    bool changed = true;                   // Since then.
  };

  void Follow(const ServingContext& context, absl::Time now, std::vector<Sums>* kept);
  void Count(const SegmentCounts& counts, int64_t sign, Sums* sums) const;
  // What one segment adds above W: all of it, less what the snapshot counted of it; nothing until it has reached W.
  void CountSegment(PartitionId partition, Offset start, const LiveSegmentCounts& segment, int64_t sign, Sums* sums) const;
  static std::shared_ptr<const PopularNow> Lists(const ServingContext& context, const Sums& sums);

  const LiveState& live_;
  const int64_t segment_size_;
  std::vector<Sums> sums_;                 // Of the snapshots that are served; RunOnce's thread alone, as the next.
  std::vector<std::shared_ptr<const PopularNow>> lists_;
  Rcu<std::vector<std::shared_ptr<const PopularNow>>> published_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_POPULARITY_H_
