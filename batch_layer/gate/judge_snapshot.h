#ifndef TRIBUTARY_BATCH_LAYER_GATE_JUDGE_SNAPSHOT_H_
#define TRIBUTARY_BATCH_LAYER_GATE_JUDGE_SNAPSHOT_H_

#include "absl/status/statusor.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/gate.pb.h"

namespace tributary::batch {

// Reads the new snapshot back, every byte, and judges it beside the current one. A current one that is gone or damaged is
// logged and compared with no more than if there were none: what replaces it can only be better. Without `judged`.
// A damaged new snapshot is no error but a refusal with `damage`. Errors: the disk cannot be read.
absl::StatusOr<v1::GateVerdict> JudgeSnapshot(const SnapshotStore& store, Generation generation,
                                              const v1::GateConfig& limits);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_GATE_JUDGE_SNAPSHOT_H_
