#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_MANIFEST_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_MANIFEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "batch_layer/history/history.h"
#include "common/ids/ids.h"
#include "tributary/v1/history.pb.h"

namespace tributary::batch {

// HISTORY.json. What comes out can be relied on: files lie in the history's own directories, offsets of a partition
// ascend and do not overlap, lists that belong together are as long as each other.
// DataLoss: damaged, the message says what; FailedPrecondition: a newer format. Unknown fields are passed over: the
// version tells whether they matter.
absl::StatusOr<v1::HistoryManifest> HistoryManifestFromJson(const std::string& json);
std::string HistoryManifestToJson(const v1::HistoryManifest& manifest);

// Where a partition ends; offset 0 for one that the manifest does not know.
PartitionEnd EndOf(const v1::HistoryManifest& manifest, PartitionId partition);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_MANIFEST_H_
