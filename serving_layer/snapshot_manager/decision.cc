#include "serving_layer/snapshot_manager/decision.h"

namespace tributary::serving {

SnapshotAction Decide(const SnapshotSituation& situation) {
  if (situation.loaded) {
    if (situation.loaded != situation.wanted) {
      return SnapshotAction::kDiscard;
    }
    return situation.floor_known ? SnapshotAction::kSwap : SnapshotAction::kNothing;
  }
  if (situation.wanted && situation.wanted != situation.serving && !situation.wanted_refused) {
    return SnapshotAction::kLoad;
  }
  return SnapshotAction::kNothing;
}

HeldAction DecideHeld(const HeldSituation& situation) {
  if (situation.held && (situation.held != situation.wanted || situation.held_below_floor)) {
    return HeldAction::kDrop;
  }
  if (situation.wanted && !situation.held && !situation.wanted_refused) {
    return HeldAction::kLoad;
  }
  return HeldAction::kNothing;
}

}  // namespace tributary::serving
