#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "batch_layer/history/history.h"

// Events as one Parquet file (zstd): readable by Spark, DuckDB, pandas. Schema, all columns required:
//   partition int32, offset int64, record_time_unix_ms int64, event_time_unix_ms int64, type int32 (v1::EventType),
//   user_id, item_id, page, category, query, session_id string (empty: none), event_id_hash int64 (bits of the unsigned
//   hash; 0: no id), value_micros int64, quantity_micros int64, anonymous bool, attributes map<string, string>,
//   experiment_bucket string.
// The schema only grows, by columns at the end; it is part of the history's format version.
namespace tributary::batch {

// Writes one file, a row group (262,144 events) in memory at a time. Equal events give equal bytes, however they were
// handed over. ResourceExhausted: disk full; Unavailable: other errors of the file system. After one of them, and when the
// object goes without Finish, what is there is to be thrown away. Not thread-safe.
class ParquetWriter {
 public:
  static absl::StatusOr<std::unique_ptr<ParquetWriter>> Create(const std::string& path);
  virtual ~ParquetWriter() = default;
  virtual absl::Status Append(const HistoryEvent& event) = 0;
  // Syncs the file.
  virtual absl::Status Finish() = 0;
};

// Writes and syncs the file, as ParquetWriter.
absl::Status WriteParquetFile(const std::string& path, absl::Span<const HistoryEvent> events);

// Visits the events of the file in order. The visited object is used again. DataLoss: not such a file.
absl::Status ReadParquetFile(const std::string& path, const HistoryColumns& columns,
                             const std::function<absl::Status(const HistoryEvent&)>& visit);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_
