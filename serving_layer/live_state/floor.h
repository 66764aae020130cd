#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_FLOOR_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_FLOOR_H_

#include "absl/status/status.h"
#include "serving_layer/context/loaded_snapshot.h"
#include "serving_layer/live_state/live_state.h"

namespace tributary::serving {

// FailedPrecondition: the live views of some partition were trimmed above the snapshot's W, so that between the two lies
// what neither knows. A user without a view is no exception: the view may have been trimmed to nothing.
absl::Status CheckFloor(const LoadedSnapshot& snapshot, const LivePartitions& live);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_FLOOR_H_
