#ifndef TRIBUTARY_COMMON_SNAPSHOT_MANIFEST_H_
#define TRIBUTARY_COMMON_SNAPSHOT_MANIFEST_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "tributary/v1/snapshot.pb.h"

// MANIFEST.json: reading, checking, writing.
namespace tributary {

// `<snapshots_dir>/<generation>`.
std::string SnapshotPath(const std::string& snapshots_dir, Generation generation);
// The generation that a directory's name or the content of CURRENT says: canonical decimal, greater than 0.
std::optional<Generation> ParseGeneration(absl::string_view text);

// The file's text; fills in `manifest_checksum`.
absl::StatusOr<std::string> ManifestToJson(v1::SnapshotManifest manifest);
// FailedPrecondition: newer format. DataLoss: anything else that is wrong.
absl::StatusOr<v1::SnapshotManifest> ManifestFromJson(absl::string_view json);

// The manifest of the snapshot in `path`, with every file there and of the right size. NotFound: no such directory or no
// manifest in it (not there yet). FailedPrecondition: newer format. DataLoss names what is missing, short or too much.
absl::StatusOr<v1::SnapshotManifest> ReadCompleteManifest(const std::string& path, Generation generation);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_MANIFEST_H_
