#include "batch_layer/gate/judge_snapshot.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "batch_layer/gate/gate.h"
#include "common/snapshot/measure.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr int64_t kCacheBytes = 8 << 20;

// Unset: nothing was activated yet.
absl::StatusOr<std::optional<ActiveSnapshot>> MeasureActive(const SnapshotStore& store, const SnapshotReader& candidate) {
  const absl::StatusOr<Generation> current = store.Current();
  if (absl::IsNotFound(current.status())) {
    return std::nullopt;
  }
  TRIBUTARY_RETURN_IF_ERROR(current.status());
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::unique_ptr<SnapshotReader> reader,
      SnapshotReader::Open(store.dir(), *current, SnapshotReader::Verify::kManifest, kCacheBytes));
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotMeasures measures, MeasureSnapshot(*reader));
  TRIBUTARY_ASSIGN_OR_RETURN(const Churn churn, MeasureChurn(candidate, *reader));
  return ActiveSnapshot{.measures = measures, .churn = churn};
}

v1::GateVerdict Damaged(Generation generation, const absl::Status& status) {
  v1::GateVerdict verdict;
  verdict.set_generation(Value(generation));
  verdict.set_outcome(v1::GateVerdict::REFUSED);
  verdict.set_damage(std::string(status.message()));
  return verdict;
}

}  // namespace

absl::StatusOr<v1::GateVerdict> JudgeSnapshot(const SnapshotStore& store, Generation generation,
                                              const v1::GateConfig& limits) {
  const absl::StatusOr<std::unique_ptr<SnapshotReader>> candidate =
      SnapshotReader::Open(store.dir(), generation, SnapshotReader::Verify::kDigest, kCacheBytes);
  if (absl::IsDataLoss(candidate.status())) {
    return Damaged(generation, candidate.status());
  }
  TRIBUTARY_RETURN_IF_ERROR(candidate.status());
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotMeasures measures, MeasureSnapshot(**candidate));

  absl::StatusOr<std::optional<ActiveSnapshot>> active = MeasureActive(store, **candidate);
  const absl::Status& status = active.status();
  if (absl::IsDataLoss(status) || absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) {
    LOG(WARNING) << "gate: the current snapshot cannot be compared with: " << status.message();
    active = std::nullopt;
  }
  TRIBUTARY_RETURN_IF_ERROR(active.status());
  return Judge(measures, *active, limits);
}

}  // namespace tributary::batch
