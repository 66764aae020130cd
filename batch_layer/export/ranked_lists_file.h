#ifndef TRIBUTARY_BATCH_LAYER_EXPORT_RANKED_LISTS_FILE_H_
#define TRIBUTARY_BATCH_LAYER_EXPORT_RANKED_LISTS_FILE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Lists of items as one Parquet file (zstd), a row an entry: readable by Spark, DuckDB, pandas. All columns required:
//   KEY string, rank int32 (from 1), ITEM string, score float.   KEY and ITEM are named by the writer.
namespace tributary::batch {

// One row.
struct RankedItem {
  absl::string_view key;
  int rank = 0;
  absl::string_view item;
  float score = 0;
};

// A row group (1,048,576 rows) in memory at a time. Not thread-safe.
// Errors: ResourceExhausted: disk full; Unavailable: other errors of the file system.
class RankedListsWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RankedListsWriter>> Create(const std::string& path, const std::string& key_column,
                                                                   const std::string& item_column);
  virtual ~RankedListsWriter() = default;
  virtual absl::Status Append(const RankedItem& row) = 0;
  // Syncs the file.
  virtual absl::Status Finish() = 0;
};

// Visits the rows in order. DataLoss: not such a file.
absl::Status ReadRankedLists(const std::string& path, const std::function<absl::Status(const RankedItem&)>& visit);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_EXPORT_RANKED_LISTS_FILE_H_
