#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_BYTE_SOURCE_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tributary::batch {

// A stream of uncompressed bytes. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the front of `buffer` and answers how much: 0 only at the end.
  // Errors: DataLoss: the compressed data is damaged or ends early; Unavailable: the file cannot be read on.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> buffer) = 0;
};

// Opens a file: plain, zstd or gzip, told apart by its first bytes (not by its name). Several frames or members in a row
// are one stream; memory is bounded (zstd windows up to 128 MiB). NotFound: there is no such file.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path);

struct FileDigest {
  uint64_t xxh64 = 0;       // Of the uncompressed content.
  int64_t bytes = 0;        // Uncompressed.
};

// Reads the whole file once.
absl::StatusOr<FileDigest> DigestFile(const std::string& path);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_BYTE_SOURCE_H_
