#include "common/snapshot/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::files {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBytes = size_t{1} << 20;

absl::Status Error(absl::string_view what, absl::string_view path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, ": path=", path));
}

absl::Status Error(absl::string_view what, absl::string_view path, const std::error_code& error) {
  return Error(what, path, error.value());
}

// Closes at the end of the scope.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Error("write failed", path, errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// The bytes read, 0 at the end.
absl::StatusOr<size_t> ReadSome(int fd, char* buffer, size_t size, const std::string& path) {
  while (true) {
    const ssize_t n = read(fd, buffer, size);
    if (n >= 0) {
      return static_cast<size_t>(n);
    }
    if (errno != EINTR) {
      return Error("read failed", path, errno);
    }
  }
}

}  // namespace

absl::StatusOr<Appender> Appender::Create(const std::string& path) {
  Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.fd() < 0) {
    return Error("create failed", path, errno);
  }
  return Appender(path, file.Release());
}

Appender::~Appender() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

Appender::Appender(Appender&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

Appender& Appender::operator=(Appender&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

absl::Status Appender::Append(absl::string_view bytes) { return WriteAll(fd_, bytes, path_); }

absl::Status Appender::Finish() {
  if (fsync(fd_) != 0) {
    return Error("sync failed", path_, errno);
  }
  if (close(std::exchange(fd_, -1)) != 0) {
    return Error("close failed", path_, errno);
  }
  return absl::OkStatus();
}

absl::Status Write(const std::string& path, std::initializer_list<absl::string_view> chunks) {
  TRIBUTARY_ASSIGN_OR_RETURN(Appender file, Appender::Create(path));
  for (absl::string_view chunk : chunks) {
    TRIBUTARY_RETURN_IF_ERROR(file.Append(chunk));
  }
  return file.Finish();
}

absl::Status Replace(const std::string& path, absl::string_view content) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  TRIBUTARY_RETURN_IF_ERROR(Write(temporary, {content}));
  TRIBUTARY_RETURN_IF_ERROR(Rename(temporary, path));
  return Sync(fs::path(path).parent_path().string());
}

absl::StatusOr<std::string> Read(const std::string& path, int64_t max_bytes) {
  Descriptor file(path, O_RDONLY);
  if (file.fd() < 0) {
    return Error("open failed", path, errno);
  }
  std::string bytes;
  while (true) {
    const size_t have = bytes.size();
    bytes.resize(have + 4096);
    TRIBUTARY_ASSIGN_OR_RETURN(const size_t n, ReadSome(file.fd(), bytes.data() + have, 4096, path));
    bytes.resize(have + n);
    if (n == 0) {
      return bytes;
    }
    if (static_cast<int64_t>(bytes.size()) > max_bytes) {
      return absl::OutOfRangeError(absl::StrCat("file too large: path=", path, " max_bytes=", max_bytes));
    }
  }
}

absl::Status Sync(const std::string& path) {
  Descriptor file(path, O_RDONLY);
  if (file.fd() < 0) {
    return Error("open failed", path, errno);
  }
  if (fsync(file.fd()) != 0) {
    return Error("sync failed", path, errno);
  }
  return absl::OkStatus();
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("rename failed, target is there: path=", to));
    }
    return Error("rename failed", from, errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Size(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return Error("stat failed", path, errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::NotFoundError(absl::StrCat("no regular file: path=", path));
  }
  return static_cast<int64_t>(info.st_size);
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? Error("create directory failed", path, error) : absl::OkStatus();
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? Error("remove failed", path, error) : absl::OkStatus();
}

absl::Status ClearDirectory(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    paths.push_back(entry->path().string());
  }
  if (error) {
    return Error("list directory failed", dir, error);
  }
  for (const std::string& path : paths) {
    TRIBUTARY_RETURN_IF_ERROR(RemoveAll(path));
  }
  return absl::OkStatus();
}

bool MayExist(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error) || error;
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::recursive_directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_regular_file(error)) {
      paths.push_back(entry->path().lexically_relative(dir).generic_string());
    }
  }
  if (error) {
    return Error("list directory failed", dir, error);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::StatusOr<std::vector<std::string>> ListDirectories(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    // One that is renamed away meanwhile is no error.
    std::error_code gone;
    if (entry->is_directory(gone)) {
      names.push_back(entry->path().filename().string());
    }
  }
  if (error) {
    return Error("list directory failed", dir, error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<uint64_t> Checksum(const std::string& path) {
  Descriptor file(path, O_RDONLY);
  if (file.fd() < 0) {
    return Error("open failed", path, errno);
  }
  const std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state(XXH64_createState(), XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const size_t n, ReadSome(file.fd(), buffer.get(), kReadBytes, path));
    if (n == 0) {
      return static_cast<uint64_t>(XXH64_digest(state.get()));
    }
    XXH64_update(state.get(), buffer.get(), n);
  }
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  Descriptor file(path, O_RDONLY);
  struct stat info;
  if (file.fd() < 0 || fstat(file.fd(), &info) != 0) {
    return Error("open failed", path, errno);
  }
  MappedFile mapped;
  if (info.st_size > 0) {
    const auto size = static_cast<size_t>(info.st_size);
    void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
    if (address == MAP_FAILED) {
      return Error("map failed", path, errno);
    }
    mapped.bytes_ = absl::string_view(static_cast<const char*>(address), size);
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

absl::StatusOr<DirectoryLock> DirectoryLock::Lock(const std::string& dir, int operation) {
  Descriptor file(dir, O_RDONLY | O_DIRECTORY);
  if (file.fd() < 0) {
    return Error("open failed", dir, errno);
  }
  while (flock(file.fd(), operation) != 0) {
    if (errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(absl::StrCat("directory in use: path=", dir));
    }
    if (errno != EINTR) {
      return Error("lock failed", dir, errno);
    }
  }
  return DirectoryLock(file.Release());
}

absl::StatusOr<DirectoryLock> DirectoryLock::Acquire(const std::string& dir) { return Lock(dir, LOCK_EX); }

absl::StatusOr<DirectoryLock> DirectoryLock::TryAcquire(const std::string& dir) {
  return Lock(dir, LOCK_EX | LOCK_NB);
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace tributary::files
