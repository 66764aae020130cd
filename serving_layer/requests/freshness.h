#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/merge.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/requests/experiments.h"
#include "serving_layer/requests/fold_in_queue.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// What one request sees, from first to last: everything in it is immutable. Valid while its EpochGuard is open.
struct RequestView {
  const ServingContext& context;
  const LivePartitions& live;
  LiveSessions::View live_sessions;                  // Beside this context.
  absl::Span<const ScoredItem> trending = {};        // For the fallback ladder.
  const CandidateViews* popular = nullptr;           // The snapshot's lists counted on; null: they are not.
  absl::Time now;
  std::optional<absl::Time> as_of = std::nullopt;   // Before `now`: what ages, windows and availability are counted to.
  bool log_reachable = true;
  absl::Duration stale_after;
  const ExperimentBucket* bucket = nullptr;         // That the user is in; null: none.
  FoldInQueue* fold_ins = nullptr;                  // Where dear fold-ins go; null: they are waited for.

  absl::Time counted_to() const { return as_of.value_or(now); }
  // True when the answer rests on everything up to and including `position`.
  bool Covers(PartitionId partition, Offset offset) const;
};

// Writes generation, snapshot time and NO_SNAPSHOT, LOG_UNREACHABLE.
void FillFreshness(const RequestView& view, v1::Freshness* freshness);
// Adds one partition, and SPEED_LAYER_STALE and HISTORY_HOLE when it has them. A partition that is not there adds nothing.
void AddPartition(const RequestView& view, PartitionId partition, v1::Freshness* freshness);
// Adds a flag unless it is there.
void AddDegradation(v1::Degradation degradation, v1::Freshness* freshness);
// FillFreshness and AddPartition for all partitions.
void FillFreshnessOfAll(const RequestView& view, v1::Freshness* freshness);
// The user's partitions: where its live views lie, and where Publish would put its next event.
void AddUserPartitions(const RequestView& view, absl::string_view user_id, absl::Span<const LivePartition> live,
                       v1::Freshness* freshness);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_
