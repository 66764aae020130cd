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
