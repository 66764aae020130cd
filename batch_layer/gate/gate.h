#ifndef TRIBUTARY_BATCH_LAYER_GATE_GATE_H_
#define TRIBUTARY_BATCH_LAYER_GATE_GATE_H_

#include <optional>
#include <string>

#include "common/snapshot/measure.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/gate.pb.h"

// May a new snapshot become the current one? The decision alone: common/snapshot/measure.h reads what it rests on.
namespace tributary::batch {

// What the candidate is compared with.
struct ActiveSnapshot {
  SnapshotMeasures measures;
  Churn churn;
};

// Judges the candidate by the limits; `active` unset: there is none yet. The outcome is PASSED or REFUSED, with every check
// that was made, in an order that does not change. Pure.
v1::GateVerdict Judge(const SnapshotMeasures& candidate, const std::optional<ActiveSnapshot>& active,
                      const v1::GateConfig& limits);

// For people: the failed checks, `users 5, at least 160 (active 200); ...`, or what was compared.
std::string Describe(const v1::GateVerdict& verdict);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_GATE_GATE_H_
