#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "batch_layer/history/history.h"

// Events as one Parquet file (zstd): readable by Spark, DuckDB, pandas. Schema, all columns required:
//   partition int32, offset int64, record_time_unix_ms int64, event_time_unix_ms int64, type int32 (v1::EventType),
//   user_id, item_id, page, category, query, session_id string (empty: none), event_id_hash int64 (bits of the unsigned
//   hash; 0: no id), value_micros int64, quantity_micros int64, anonymous bool, attributes map<string, string>,
//   experiment_bucket string.
// The schema only grows, by columns at the end; it is part of the history's format version.
namespace tributary::batch {

// Writes and syncs the file. ResourceExhausted: disk full; Unavailable: other errors of the file system.
absl::Status WriteParquetFile(const std::string& path, absl::Span<const HistoryEvent> events);

// Visits the events of the file in order. The visited object is used again. DataLoss: not such a file.
absl::Status ReadParquetFile(const std::string& path, const HistoryColumns& columns,
                             const std::function<absl::Status(const HistoryEvent&)>& visit);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_PARQUET_FILE_H_
