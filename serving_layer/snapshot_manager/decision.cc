#include "serving_layer/snapshot_manager/decision.h"

namespace tributary::serving {

SnapshotAction Decide(const SnapshotSituation& situation) {
  if (situation.loaded) {
    return situation.loaded == situation.wanted ? SnapshotAction::kSwap : SnapshotAction::kDiscard;
  }
  if (situation.wanted && situation.wanted != situation.serving && !situation.wanted_refused) {
    return SnapshotAction::kLoad;
  }
  return SnapshotAction::kNothing;
}

}  // namespace tributary::serving
