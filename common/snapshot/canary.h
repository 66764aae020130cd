#ifndef TRIBUTARY_COMMON_SNAPSHOT_CANARY_H_
#define TRIBUTARY_COMMON_SNAPSHOT_CANARY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/snapshot.pb.h"

// The canary: a share of the users is served from a candidate. CANARY.json lies beside CURRENT, changes by atomic rename and
// holds while CURRENT names the generation that it did when the file was written, so that every way to activate another one
// ends it, also those of older builds.
namespace tributary {

// The file's text. DataLoss: it is no canary, or one that cannot be.
absl::StatusOr<v1::Canary> CanaryFromJson(const std::string& json);
absl::StatusOr<std::string> CanaryToJson(const v1::Canary& canary);

// The canary that holds. NotFound: none does, a file that CURRENT has moved on from being none. DataLoss: the file is
// unreadable.
absl::StatusOr<v1::Canary> ReadCanary(const SnapshotStore& store);

// Begins one, in the place of one that holds: completes `canary` (current_generation) and writes it. NotFound: nothing is
// current, or there is no such generation; FailedPrecondition: it is the current one; else as of SnapshotReader::Open.
absl::StatusOr<v1::Canary> StartCanary(const SnapshotStore& store, v1::Canary canary);

// Ends it; none need hold.
absl::Status StopCanary(const SnapshotStore& store);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_CANARY_H_
