#ifndef TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_DECISION_H_
#define TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_DECISION_H_

#include <optional>

#include "common/ids/ids.h"

namespace tributary::serving {

// What the snapshot manager knows when it decides.
struct SnapshotSituation {
  std::optional<Generation> wanted;     // Named by CURRENT; none: nothing was activated yet, or CURRENT is unreadable.
  std::optional<Generation> serving;    // Requests are answered from it.
  std::optional<Generation> loaded;     // Verified and waiting to be swapped in.
  bool wanted_refused = false;          // Loading `wanted` failed, and it is not time to try again.
  bool floor_known = true;              // The topics were followed to their end.
};

enum class SnapshotAction {
  kNothing,
  kLoad,       // Open and verify `wanted`.
  kSwap,       // Serve from `loaded`.
  kDiscard,    // Close `loaded`: CURRENT has moved on.
};

// What to do next. Rules, the first that fits: (1) what was loaded is served if CURRENT still names it, else discarded;
// until the floor is known it waits; (2) what CURRENT names and is neither served nor refused is loaded; (3) everything else
// stays as it is: the last good snapshot keeps serving whatever happens to CURRENT. Going back to an older generation is a
// change like any other.
SnapshotAction Decide(const SnapshotSituation& situation);

// The same of the snapshot that is held beside the current one.
struct HeldSituation {
  std::optional<Generation> wanted;     // By a canary, else by an experiment; none, also while nothing is served.
  std::optional<Generation> held;
  bool wanted_refused = false;          // As above.
  bool held_below_floor = false;        // Nobody may be served from it any more.
};

enum class HeldAction {
  kNothing,
  kDrop,       // Close what is held.
  kLoad,       // Open, verify and hold `wanted`.
};

// Rules, the first that fits: (1) what is held is dropped when it is not wanted any more or lies below the floor, before
// anything else is loaded: there is one at most; (2) what is wanted and neither held nor refused is loaded.
HeldAction DecideHeld(const HeldSituation& situation);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_DECISION_H_
