#ifndef TRIBUTARY_COMMON_SNAPSHOT_SST_VIEW_WRITER_H_
#define TRIBUTARY_COMMON_SNAPSHOT_SST_VIEW_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/snapshot/format.h"

namespace tributary {

// Writes the sorted pairs of one view into table files, which BuildDatabase then takes over. Not thread-safe.
class SstViewWriter {
 public:
  // Files are `<dir>/<view>-<number>.sst`; a new one begins when the current one has reached `target_file_bytes`.
  SstViewWriter(snapshot_format::View view, std::string dir, int64_t target_file_bytes);
  ~SstViewWriter();

  // InvalidArgument: not above the key before.
  absl::Status Put(absl::string_view key, absl::string_view value);
  // Closes the last file. Nothing may be put after.
  absl::Status Finish();

  snapshot_format::View view() const { return view_; }
  const std::vector<std::string>& files() const { return files_; }   // Paths; none when the view is empty.
  const snapshot_format::PartDigest& digest() const { return digest_; }

 private:
  struct Table;
  const snapshot_format::View view_;
  const std::string dir_;
  const int64_t target_file_bytes_;
  std::unique_ptr<Table> table_;   // Null between files.
  std::vector<std::string> files_;
  snapshot_format::PartDigest digest_;
  std::string last_key_;
  bool empty_ = true;
};

// Makes the database `path` of the finished views' files, which move into it: one column family a view, no compaction.
absl::Status BuildDatabase(const std::string& path, absl::Span<const std::unique_ptr<SstViewWriter>> views);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_SST_VIEW_WRITER_H_
