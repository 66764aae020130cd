#ifndef TRIBUTARY_BATCH_LAYER_GATE_GATE_H_
#define TRIBUTARY_BATCH_LAYER_GATE_GATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/ids/ids.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/gate.pb.h"

// May a new snapshot become the current one? The decision alone: batch_layer/gate/measure.h reads what it rests on.
namespace tributary::batch {

// What the gate knows of one snapshot.
struct SnapshotMeasures {
  int64_t generation = 0;
  int64_t events = 0;
  int64_t users = 0;
  int64_t items = 0;
  int64_t size_bytes = 0;                      // Of its files.
  int64_t listed_users = 0;                    // With at least one item in their list.
  int64_t empty_lists = 0;                     // Of users whom the models know and yet have nothing for.
  int64_t listed_items = 0;                    // Among the first items of any user's list.
  int64_t popular_items = 0;                   // In the list of the popular ones overall.
  std::map<std::string, double> metrics;       // Of the users' lists, on the validation slice.
  std::map<PartitionId, Offset> watermarks;
};

// The mean share of the first items of a list that are no longer among them, by item id. NaN: there were no two lists to
// compare.
struct Churn {
  double lists = 0;                            // Of a sample of the users.
  double popular = 0;
};

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
