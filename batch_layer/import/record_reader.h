#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_RECORD_READER_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_RECORD_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "batch_layer/import/byte_source.h"
#include "tributary/v1/import.pb.h"

namespace tributary::batch {

// One row of a file. `values[i]` belongs to column i of the columns asked for; a missing one is empty.
// Views are valid for the call.
struct Row {
  int64_t line = 0;                       // From 1, the header included. Counts records: the same as lines, unless
                                          // quoted values before it hold line breaks.
  absl::Span<const absl::string_view> values;
  std::function<std::string()> raw;       // The row's text (CSV: quoted anew).
};

// A row that cannot be read as columns.
struct UnreadableRow {
  int64_t line = 0;
  std::string reason;
  std::string raw;
};

struct RowVisitor {
  std::function<absl::Status(const Row&)> row;
  std::function<absl::Status(const UnreadableRow&)> unreadable;
};

// Reads CSV (RFC 4180) of `mapping.delimiter` and `mapping.columns`, rows in order; rows in which all `columns` are empty are left out, rows with
// more or fewer values than columns are unreadable. The file is streamed.
// InvalidArgument: one of `columns` is not among the file's, or the file cannot be CSV at all; else errors of `source` and
// of `visitor`, at which reading stops.
absl::Status ReadCsv(ByteSource& source, const v1::ImportMapping& mapping, absl::Span<const std::string> columns,
                     const RowVisitor& visitor);

// Reads one JSON object a line. Strings are taken as they are, numbers in their shortest form, true and false as words,
// null as empty. Unreadable: no JSON object, a column that holds a list or an object, a whole number of 2^53 or more (it may have
// lost digits: write such ids as strings), a line above 1 MiB.
absl::Status ReadJsonLines(ByteSource& source, absl::Span<const std::string> columns, const RowVisitor& visitor);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_RECORD_READER_H_
