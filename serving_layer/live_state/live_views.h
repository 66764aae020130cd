#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_VIEWS_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_VIEWS_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/ids/ids.h"
#include "common/merge/merge.h"
#include "common/user_state/fact.h"
#include "serving_layer/context/context_publisher.h"
#include "tributary/v1/speed.pb.h"

namespace tributary::serving {

// v1::ViewPosition: orders the versions of a record of `speed-views` and `live-counts`.
struct ViewOrder {
  Offset applied{};
  int32_t group_generation = 0;
  Offset floor{};
  friend auto operator<=>(const ViewOrder&, const ViewOrder&) = default;
};
ViewOrder FromProto(const v1::ViewPosition& position);

// One user's speed view on one partition, decoded for merge.
struct LiveView {
  PartitionId partition{};
  ViewOrder order;
  std::vector<Fact> facts;   // At or above the floor, by offset.
  std::vector<Fact> recent;  // Below the floor, by offset.
  std::vector<Fact> impressions;  // By offset.
  bool truncated = false;
};

// A user's views, by partition: nearly always one.
struct LiveUserViews {
  std::vector<std::shared_ptr<const LiveView>> views;
};

// Each view with its W in `context`; without a snapshot everything that is live counts. Borrows the views.
void PartitionsOf(const LiveUserViews& views, const ServingContext& context, std::vector<LivePartition>* partitions);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_VIEWS_H_
