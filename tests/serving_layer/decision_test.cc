#include "serving_layer/snapshot_manager/decision.h"

#include <gtest/gtest.h>

namespace tributary::serving {
namespace {

constexpr Generation k1{1};
constexpr Generation k2{2};

TEST(DecideTest, FollowsCurrentAndKeepsTheLastGoodSnapshot) {
  const struct {
    const char* name;
    SnapshotSituation situation;
    SnapshotAction action;
  } cases[] = {
      {"nothing was activated yet", {}, SnapshotAction::kNothing},
      {"the first", {.wanted = k1}, SnapshotAction::kLoad},
      {"served already", {.wanted = k1, .serving = k1}, SnapshotAction::kNothing},
      {"a newer one", {.wanted = k2, .serving = k1}, SnapshotAction::kLoad},
      {"rolled back", {.wanted = k1, .serving = k2}, SnapshotAction::kLoad},
      {"loaded", {.wanted = k2, .serving = k1, .loaded = k2}, SnapshotAction::kSwap},
      {"loaded before the floor is known", {.wanted = k2, .loaded = k2, .floor_known = false}, SnapshotAction::kNothing},
      {"moved on before the floor is known", {.wanted = k1, .loaded = k2, .floor_known = false}, SnapshotAction::kDiscard},
      {"the first before the floor is known", {.wanted = k1, .floor_known = false}, SnapshotAction::kLoad},
      {"moved on while loading", {.wanted = k1, .serving = k1, .loaded = k2}, SnapshotAction::kDiscard},
      {"CURRENT lost while loading", {.serving = k1, .loaded = k2}, SnapshotAction::kDiscard},
      {"refused", {.wanted = k2, .serving = k1, .wanted_refused = true}, SnapshotAction::kNothing},
      {"CURRENT unreadable", {.serving = k1}, SnapshotAction::kNothing},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Decide(c.situation), c.action) << c.name;
  }
}

TEST(DecideHeldTest, HoldsOneAndDropsItBeforeAnother) {
  const struct {
    const char* name;
    HeldSituation situation;
    HeldAction action;
  } cases[] = {
      {"nothing is wanted", {}, HeldAction::kNothing},
      {"wanted", {.wanted = k1}, HeldAction::kLoad},
      {"held already", {.wanted = k1, .held = k1}, HeldAction::kNothing},
      {"another one is wanted", {.wanted = k2, .held = k1}, HeldAction::kDrop},
      {"no longer wanted", {.held = k1}, HeldAction::kDrop},
      {"refused", {.wanted = k1, .wanted_refused = true}, HeldAction::kNothing},
      {"below the floor", {.wanted = k1, .held = k1, .held_below_floor = true}, HeldAction::kDrop},
      {"below the floor, and dropped", {.wanted = k1, .wanted_refused = true}, HeldAction::kNothing},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(DecideHeld(c.situation), c.action) << c.name;
  }
}

}  // namespace
}  // namespace tributary::serving
