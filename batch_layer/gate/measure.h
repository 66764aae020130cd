#ifndef TRIBUTARY_BATCH_LAYER_GATE_MEASURE_H_
#define TRIBUTARY_BATCH_LAYER_GATE_MEASURE_H_

#include "absl/status/statusor.h"
#include "batch_layer/gate/gate.h"
#include "common/snapshot/snapshot.h"

// What the gate judges by, read from the snapshots as they lie on the disk.
namespace tributary::batch {

// First places of a list that coverage and churn look at: what is on a page.
inline constexpr int kGateDepth = 20;
// Churn is of about so many users, or fewer.
inline constexpr int64_t kChurnUsers = 2000;

// Reads every user once.
absl::StatusOr<SnapshotMeasures> MeasureSnapshot(const SnapshotReader& reader);
// Of the users that both know. The sample hangs on their ids alone.
absl::StatusOr<Churn> MeasureChurn(const SnapshotReader& candidate, const SnapshotReader& active);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_GATE_MEASURE_H_
