#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_FILES_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_FILES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Files that are either there and whole, or not there.
namespace tributary::batch {

// Errors name the path: ResourceExhausted: disk full; NotFound; Unavailable: anything else of the file system.

// The status of errno `error`.
absl::Status FileError(int error, absl::string_view what, const std::string& path);

// Writes `path`.tmp, syncs it and renames it to `path`; syncs the directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);
// Renames a file that was synced, and syncs the directory of `to`.
absl::Status RenameDurably(const std::string& from, const std::string& to);
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

struct FileSum {
  uint64_t xxh64 = 0;
  int64_t size_bytes = 0;
};
absl::StatusOr<FileSum> SumFile(const std::string& path);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_FILES_H_
