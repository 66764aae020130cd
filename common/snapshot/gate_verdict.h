#ifndef TRIBUTARY_COMMON_SNAPSHOT_GATE_VERDICT_H_
#define TRIBUTARY_COMMON_SNAPSHOT_GATE_VERDICT_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "tributary/v1/gate.pb.h"
#include "tributary/v1/snapshot.pb.h"

// What the batch layer's gate said of a snapshot, kept as GATE.json beside its manifest: it comes after the manifest, so it
// is none of the files that the manifest lists, and it goes with the snapshot.
namespace tributary {

// The file's text. DataLoss: it is no verdict, or one of an outcome that this build does not know.
absl::StatusOr<v1::GateVerdict> GateVerdictFromJson(const std::string& json);
absl::StatusOr<std::string> GateVerdictToJson(const v1::GateVerdict& verdict);

// Replaces the file atomically.
absl::Status WriteGateVerdict(const std::string& snapshots_dir, const v1::GateVerdict& verdict);
// NotFound: never judged. DataLoss: the file is no verdict of this generation.
absl::StatusOr<v1::GateVerdict> ReadGateVerdict(const std::string& snapshots_dir, Generation generation);
// The gate refused it. False also when there is no verdict that can be read: a lost verdict must not bar a rollback. A
// run that was killed before the verdict was written leaves none either; the next run judges that generation first.
bool WasRefused(const std::string& snapshots_dir, Generation generation);

// The newest of `manifests` older than `current` that was not refused.
std::optional<Generation> RollbackTarget(const std::string& snapshots_dir,
                                         absl::Span<const v1::SnapshotManifest> manifests, Generation current);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_GATE_VERDICT_H_
