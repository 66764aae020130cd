#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_SPILL_FILE_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_SPILL_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// What a run has no memory for, on the disk. Nothing outlives the run: files are not synced, and nobody else reads them.
// Errors: ResourceExhausted: disk full; Unavailable: other errors of the file system.
namespace tributary::batch {

// A directory that is empty at first, and goes with the object. What a killed process left in it goes when it is made anew.
class SpillDirectory {
 public:
  static absl::StatusOr<SpillDirectory> Create(const std::string& path);
  ~SpillDirectory();
  SpillDirectory(SpillDirectory&& other) noexcept;
  SpillDirectory& operator=(SpillDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  const std::string& path() const { return path_; }

 private:
  explicit SpillDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;    // Empty: moved from.
};

// One file, written from its beginning to its end and then read so. Not thread-safe.
class SpillFile {
 public:
  static absl::StatusOr<SpillFile> Create(const std::string& path);
  absl::Status Write(const void* bytes, size_t size);
  // Ends the writing, or the reading, and goes back to the beginning.
  absl::Status Rewind();
  // Exactly `size` bytes.
  absl::Status Read(void* bytes, size_t size);

 private:
  struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  SpillFile(std::string path, FILE* file) : path_(std::move(path)), file_(file) {}
  absl::Status Error(const char* what) const;

  std::string path_;
  std::unique_ptr<FILE, Close> file_;
};

// Strings that are appended one after the other and read back in this order: in memory, or in a file. Not thread-safe.
class StringSpool {
 public:
  StringSpool() = default;                                     // In memory.
  static absl::StatusOr<StringSpool> Create(const std::string& path);   // In this file.

  absl::Status Append(absl::string_view text);
  // From the first one on, again.
  absl::Status Rewind();
  // Replaces `text` by the next one.
  absl::Status Next(std::string* text);
  size_t size() const { return sizes_.size(); }

 private:
  std::optional<SpillFile> file_;
  std::vector<std::string> pieces_;    // Without a file: none is moved when it grows, a text lies in one.
  std::vector<uint32_t> sizes_;
  size_t next_ = 0;
  size_t piece_ = 0;                   // Where the next one lies.
  size_t byte_ = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_SPILL_FILE_H_
