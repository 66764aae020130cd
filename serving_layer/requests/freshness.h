#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids/ids.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// What one request sees, from first to last: everything in it is immutable. Valid while its EpochGuard is open.
struct RequestView {
  const ServingContext& context;
  const LivePartitions& live;
  absl::Time now;
  bool log_reachable = true;
  absl::Duration stale_after;

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

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_H_
