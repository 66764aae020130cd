#include "batch_layer/history/files.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::batch {

absl::Status FileError(int error, absl::string_view what, const std::string& path) {
  const std::string message = absl::StrCat(what, ": path=", path, " cause=", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return absl::ResourceExhaustedError(message);
  }
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

namespace {

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  const std::string dir = parent.empty() ? "." : parent;
  const int descriptor = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return FileError(errno, "directory cannot be opened", dir);
  }
  const absl::Cleanup close = [descriptor] { ::close(descriptor); };
  return ::fsync(descriptor) == 0 ? absl::OkStatus() : FileError(errno, "directory cannot be synced", dir);
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content) {
  const std::string partial = path + ".tmp";
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return FileError(errno, "file cannot be created", partial);
  }
  absl::Status status;
  while (!content.empty() && status.ok()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      status = FileError(errno, "file cannot be written", partial);
    }
  }
  if (status.ok() && ::fsync(descriptor) != 0) {
    status = FileError(errno, "file cannot be synced", partial);
  }
  ::close(descriptor);
  if (status.ok()) {
    status = RenameDurably(partial, path);
  }
  if (!status.ok()) {
    ::unlink(partial.c_str());
  }
  return status;
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    return FileError(errno, "file cannot be renamed", from);
  }
  return SyncDirectoryOf(to);
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return FileError(errno, "file cannot be opened", path);
  }
  const absl::Cleanup close = [descriptor] { ::close(descriptor); };
  std::string content;
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    const ssize_t read = ::read(descriptor, buffer.data(), buffer.size());
    if (read == 0) {
      return content;
    }
    if (read > 0) {
      content.append(buffer.data(), static_cast<size_t>(read));
    } else if (errno != EINTR) {
      return FileError(errno, "file cannot be read", path);
    }
  }
}

absl::StatusOr<FileSum> SumFile(const std::string& path) {
  FILE* const file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return FileError(errno, "file cannot be opened", path);
  }
  XXH64_state_t* const state = XXH64_createState();
  const absl::Cleanup close = [file, state] {
    std::fclose(file);
    XXH64_freeState(state);
  };
  XXH64_reset(state, 0);
  std::vector<char> buffer(256 * 1024);
  FileSum sum;
  while (const size_t read = std::fread(buffer.data(), 1, buffer.size(), file)) {
    XXH64_update(state, buffer.data(), read);
    sum.size_bytes += static_cast<int64_t>(read);
  }
  if (std::ferror(file) != 0) {
    return FileError(errno, "file cannot be read", path);
  }
  sum.xxh64 = XXH64_digest(state);
  return sum;
}

}  // namespace tributary::batch
