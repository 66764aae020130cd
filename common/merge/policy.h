#ifndef TRIBUTARY_COMMON_MERGE_POLICY_H_
#define TRIBUTARY_COMMON_MERGE_POLICY_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/event/event.h"
#include "common/sessions/session_neighbours.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/snapshot.pb.h"

namespace tributary {

// Strengths and times that merge gives to facts: v1::MergePolicy, checked and complete.
struct MergePolicy {
  struct CategoryEffect {
    EventType kind = EventType::EVENT_TYPE_UNSPECIFIED;
    double strength = 0;             // > 0: a boost of 0.3 multiplies by 1.3; < 0 damps: -0.3 divides by 1.3.
    int64_t half_life_ms = 1;        // > 0.
  };
  std::vector<CategoryEffect> category_effects;   // One a kind at most.
  double max_category_boost = 2;                  // Cap of the sum for one item, and of a damping alike.
  int64_t purchase_suppression_ms = 0;
  int64_t dislike_rating_at_most_micros = 0;      // A rating up to this acts as a dislike.
  double personal_weight = 1;
  double session_weight = 0.5;
  double fallback_weight = 0.1;
  double newcomer_weight = 0.25;
  SessionNeighbourOptions session_neighbours;
  struct Fatigue {
    int32_t impressions = 0;                // From so many on; 0: off.
    double strength = 1;                    // >= 0.
    int64_t window_ms = 24LL * 3600 * 1000; // > 0; the speed layer keeps no more of record time.
  };
  Fatigue fatigue;

  // The effect of a kind on categories; null: none.
  const CategoryEffect* EffectOf(EventType kind) const;

  // Every default that config.proto names.
  static MergePolicy Default();
  // Unset fields take their defaults. InvalidArgument names the field that is out of range.
  static absl::StatusOr<MergePolicy> FromProto(const v1::MergePolicy& message);
};

// How much the best item of each source adds to a score.
struct SourceWeights {
  double personal = 1;
  double session = 0.5;
  double fallback = 0.1;
  double newcomer = 0.25;  // In the place of `personal`, for a user whom the snapshot has no list for.
};

// The manifest's weights, by these names; the policy's where it has none.
SourceWeights ResolveWeights(const v1::SnapshotManifest& manifest, const MergePolicy& policy);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_POLICY_H_
