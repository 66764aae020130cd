#ifndef TRIBUTARY_COMMON_SNAPSHOT_FILES_H_
#define TRIBUTARY_COMMON_SNAPSHOT_FILES_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// File-system calls as snapshots need them, with errors as Status: `what failed: path=... error=...`. Thread-safe.
namespace tributary::files {

// Creates or replaces the file with the chunks one after the other and syncs it.
absl::Status Write(const std::string& path, std::initializer_list<absl::string_view> chunks);
// The same, but a reader finds either the old content or the new one, whatever dies when: by way of `path`.tmp.
absl::Status Replace(const std::string& path, absl::string_view content);
// NotFound: no such file. OutOfRange: more than `max_bytes`.
absl::StatusOr<std::string> Read(const std::string& path, int64_t max_bytes);

// A file that is written from its beginning to its end, in pieces. Not thread-safe.
class Appender {
 public:
  // Creates or empties the file.
  static absl::StatusOr<Appender> Create(const std::string& path);
  ~Appender();
  Appender(Appender&& other) noexcept;
  Appender& operator=(Appender&& other) noexcept;

  absl::Status Append(absl::string_view bytes);
  // Syncs and closes it; nothing may be appended after.
  absl::Status Finish();

 private:
  Appender(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_ = -1;
};

// Syncs a file's or a directory's content to the disk.
absl::Status Sync(const std::string& path);
// AlreadyExists: `to` is a directory that is not empty.
absl::Status Rename(const std::string& from, const std::string& to);
// NotFound when it is not there or no regular file.
absl::StatusOr<int64_t> Size(const std::string& path);
absl::Status CreateDirectories(const std::string& path);
// The path and all below it; fine when it is not there.
absl::Status RemoveAll(const std::string& path);
// All that is in the directory.
absl::Status ClearDirectory(const std::string& dir);
// True also when it cannot be told.
bool MayExist(const std::string& path);
// Regular files below `dir`, as sorted paths relative to it. NotFound: no such directory.
absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& dir);
// Names of the directories in `dir`, sorted. NotFound: no such directory.
absl::StatusOr<std::vector<std::string>> ListDirectories(const std::string& dir);

// xxh64 of the whole file.
absl::StatusOr<uint64_t> Checksum(const std::string& path);

// A whole file, mapped read-only. Starts at a page boundary; an empty file is an empty view.
class MappedFile {
 public:
  MappedFile() = default;
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  absl::string_view bytes() const { return bytes_; }

 private:
  absl::string_view bytes_;
};

// An exclusive advisory lock on a directory, between processes and between threads; let go at destruction or death.
class DirectoryLock {
 public:
  // Waits for the lock.
  static absl::StatusOr<DirectoryLock> Acquire(const std::string& dir);
  // FailedPrecondition: somebody else has it.
  static absl::StatusOr<DirectoryLock> TryAcquire(const std::string& dir);
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  static absl::StatusOr<DirectoryLock> Lock(const std::string& dir, int operation);
  int fd_ = -1;
};

}  // namespace tributary::files

#endif  // TRIBUTARY_COMMON_SNAPSHOT_FILES_H_
