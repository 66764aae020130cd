#ifndef TRIBUTARY_COMMON_PROCESS_FILE_LOCK_H_
#define TRIBUTARY_COMMON_PROCESS_FILE_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace tributary {

// Keeps other processes, and other objects of this one, off what a file stands for: holds an exclusive flock on it
// until it goes; the kernel lets go of it when the process dies, however it dies. The file stays.
class FileLock {
 public:
  // Makes the file when it is missing. Does not wait. Aborted: somebody else has it (the message names the process).
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_PROCESS_FILE_LOCK_H_
