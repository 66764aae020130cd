#ifndef TRIBUTARY_COMMON_LOCAL_STORE_LOCAL_STORE_H_
#define TRIBUTARY_COMMON_LOCAL_STORE_LOCAL_STORE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tributary {

// Where a process puts what has no room in its memory: keys and values on a local disk, by key. A cache of what Kafka
// has, worth nothing once the process has ended; what one process wrote no other ever reads.
//
// Threads: thread-safe.
// Errors:  ResourceExhausted: the disk is full; else Unavailable, DataLoss, Internal as the disk has it.
class LocalStore {
 public:
  using Entry = std::pair<std::string, std::string>;
  virtual ~LocalStore() = default;

  // Sets all of them, or none when it fails; what was there before can be read as before.
  virtual absl::Status Put(absl::Span<const Entry> entries) = 0;
  // As many as keys; unset: there is none.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> Get(absl::Span<const std::string> keys) = 0;
  // Up to `limit` entries with keys in [begin, end), by key.
  virtual absl::StatusOr<std::vector<Entry>> Scan(absl::string_view begin, absl::string_view end, size_t limit) = 0;
  // Frees what is at [begin, end). What cannot be freed now (the disk is full) goes when the process starts again.
  virtual void Drop(absl::string_view begin, absl::string_view end) = 0;
};

// A RocksDB without a log in a new directory below `dir`, which is made when it is not there. What processes that are
// no more left below `dir` is deleted first. Goes with the object. Beside its files it takes up to 64 MiB of memory.
absl::StatusOr<std::unique_ptr<LocalStore>> OpenLocalStore(const std::string& dir);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_LOCAL_STORE_LOCAL_STORE_H_
