#include "common/process/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"

namespace tributary {
namespace {

absl::Status Error(absl::string_view what, const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, ": path=", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return Error("lock file cannot be opened", path, errno);
  }
  std::unique_ptr<FileLock> lock(new FileLock(descriptor));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return Error("lock cannot be taken", path, errno);
    }
    char holder[32] = {};
    const ssize_t read = ::read(descriptor, holder, sizeof(holder) - 1);
    return absl::AbortedError(absl::StrCat("another process holds the lock: path=", path, " pid=",
                                           absl::string_view(holder, read > 0 ? static_cast<size_t>(read) : 0)));
  }
  // Who holds it, for the message above. The lock itself does not rest on it, so a full disk is no reason to fail.
  const std::string pid = absl::StrCat(::getpid());
  if (::ftruncate(descriptor, 0) != 0 || ::write(descriptor, pid.data(), pid.size()) < 0) {
    LOG(WARNING) << "lock file cannot be written: path=" << path << " error=" << std::strerror(errno);
  }
  return lock;
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace tributary
