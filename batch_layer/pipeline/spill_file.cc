#include "batch_layer/pipeline/spill_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "batch_layer/history/files.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr size_t kPieceBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<SpillDirectory> SpillDirectory::Create(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) {
    std::filesystem::create_directories(path, error);
  }
  if (error) {
    return FileError(error.value(), "directory for what has no room in memory cannot be made", path);
  }
  return SpillDirectory(path);
}

SpillDirectory::SpillDirectory(SpillDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}

SpillDirectory::~SpillDirectory() {
  std::error_code error;
  if (!path_.empty() && (std::filesystem::remove_all(path_, error), error)) {
    LOG(WARNING) << "run: a directory cannot be removed: path=" << path_ << " cause=" << error.message();
  }
}

absl::StatusOr<SpillFile> SpillFile::Create(const std::string& path) {
  FILE* const file = std::fopen(path.c_str(), "w+be");
  if (file == nullptr) {
    return FileError(errno, "file cannot be created", path);
  }
  SpillFile created(path, file);
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  return created;
}

absl::Status SpillFile::Error(const char* what) const { return FileError(errno, what, path_); }

absl::Status SpillFile::Write(const void* bytes, size_t size) {
  return std::fwrite(bytes, 1, size, file_.get()) == size ? absl::OkStatus() : Error("file cannot be written");
}

absl::Status SpillFile::Rewind() {
  return std::fseek(file_.get(), 0, SEEK_SET) == 0 ? absl::OkStatus() : Error("file cannot be written");
}

absl::Status SpillFile::Read(void* bytes, size_t size) {
  errno = EIO;     // Of a file that is shorter.
  return std::fread(bytes, 1, size, file_.get()) == size ? absl::OkStatus() : Error("file cannot be read");
}

absl::StatusOr<StringSpool> StringSpool::Create(const std::string& path) {
  StringSpool spool;
  TRIBUTARY_ASSIGN_OR_RETURN(spool.file_, SpillFile::Create(path));
  return spool;
}

absl::Status StringSpool::Append(absl::string_view text) {
  sizes_.push_back(static_cast<uint32_t>(text.size()));
  if (file_) {
    return file_->Write(text.data(), text.size());
  }
  if (pieces_.empty() || pieces_.back().capacity() - pieces_.back().size() < text.size()) {
    pieces_.emplace_back().reserve(std::max(kPieceBytes, text.size()));
  }
  pieces_.back().append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status StringSpool::Rewind() {
  next_ = piece_ = byte_ = 0;
  return file_ ? file_->Rewind() : absl::OkStatus();
}

absl::Status StringSpool::Next(std::string* text) {
  CHECK_LT(next_, sizes_.size());
  text->resize(sizes_[next_++]);
  if (file_) {
    return file_->Read(text->data(), text->size());
  }
  while (byte_ == pieces_[piece_].size() && !text->empty()) {
    ++piece_;
    byte_ = 0;
  }
  std::memcpy(text->data(), pieces_[piece_].data() + byte_, text->size());
  byte_ += text->size();
  return absl::OkStatus();
}

}  // namespace tributary::batch
