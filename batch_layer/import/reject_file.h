#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_REJECT_FILE_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_REJECT_FILE_H_

#include <cstdint>
#include <fstream>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tributary::batch {

// Rows that an import refused, one ImportReject (import.proto) as proto3 JSON a line. The file is made with the first row, replacing an older one. Not thread-safe.
class RejectFile {
 public:
  explicit RejectFile(std::string path) : path_(std::move(path)) {}

  // Unavailable: the file cannot be written.
  absl::Status Add(int64_t line, absl::string_view reason, absl::string_view raw);
  // Flushes; call before trusting the file.
  absl::Status Close();

  int64_t rows() const { return rows_; }
  const std::string& path() const { return path_; }

 private:
  absl::Status Failed() const;

  const std::string path_;
  std::ofstream file_;
  int64_t rows_ = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_REJECT_FILE_H_
