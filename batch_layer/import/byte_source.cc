#include "batch_layer/import/byte_source.h"

#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kInputBytes = 256 * 1024;

class PlainFile final : public ByteSource {
 public:
  static absl::StatusOr<std::unique_ptr<PlainFile>> Open(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "rbe");
    if (file == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("file cannot be opened: path=", path));
    }
    return std::make_unique<PlainFile>(path, file);
  }
  PlainFile(std::string path, FILE* file) : path_(std::move(path)), file_(file) {}
  ~PlainFile() override { std::fclose(file_); }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t read = std::fread(buffer.data(), 1, buffer.size(), file_);
    if (read == 0 && std::ferror(file_) != 0) {
      return absl::UnavailableError(absl::StrCat("file cannot be read on: path=", path_, " cause=", std::strerror(errno)));
    }
    return read;
  }
  // The first bytes, without taking them.
  std::string Peek(size_t count) {
    std::string head(count, '\0');
    head.resize(std::fread(head.data(), 1, count, file_));
    std::rewind(file_);
    return head;
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  FILE* const file_;
};

// Compressed bytes waiting to be taken by a decoder.
class Input {
 public:
  explicit Input(std::unique_ptr<PlainFile> file) : file_(std::move(file)), buffer_(kInputBytes) {}

  // Reads on when everything was taken; false at the end of the file.
  absl::StatusOr<bool> Fill() {
    if (taken_ < size_) {
      return true;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(size_, file_->Read(absl::MakeSpan(buffer_)));
    taken_ = 0;
    return size_ > 0;
  }
  char* data() { return buffer_.data() + taken_; }
  size_t size() const { return size_ - taken_; }
  void Take(size_t count) { taken_ += count; }
  absl::Status Damaged(absl::string_view cause) const {
    return absl::DataLossError(absl::StrCat("compressed file is damaged: path=", file_->path(), " cause=", cause));
  }

 private:
  std::unique_ptr<PlainFile> file_;
  std::vector<char> buffer_;
  size_t taken_ = 0;
  size_t size_ = 0;
};

class ZstdFile final : public ByteSource {
 public:
  explicit ZstdFile(std::unique_ptr<PlainFile> file) : input_(std::move(file)), stream_(ZSTD_createDStream()) {}
  ~ZstdFile() override { ZSTD_freeDStream(stream_); }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    while (out.pos == 0) {
      TRIBUTARY_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      // At the end of the file the decoder may still hold output of a frame.
      ZSTD_inBuffer in{input_.data(), input_.size(), 0};
      const size_t hint = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(hint)) {
        return input_.Damaged(ZSTD_getErrorName(hint));
      }
      input_.Take(in.pos);
      if (more) {
        in_frame_ = hint != 0;
      } else if (out.pos == 0) {
        return in_frame_ ? absl::StatusOr<size_t>(input_.Damaged("it ends within a frame")) : 0;
      }
    }
    return out.pos;
  }

 private:
  Input input_;
  ZSTD_DStream* const stream_;
  bool in_frame_ = false;
};

class GzipFile final : public ByteSource {
 public:
  explicit GzipFile(std::unique_ptr<PlainFile> file) : input_(std::move(file)) {
    stream_ = {};
    initialized_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK;
  }
  ~GzipFile() override { inflateEnd(&stream_); }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (!initialized_) {
      return absl::ResourceExhaustedError("zlib cannot be initialized");
    }
    stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream_.avail_out = static_cast<uInt>(buffer.size());
    while (stream_.avail_out == buffer.size()) {
      TRIBUTARY_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      if (!more) {
        return in_member_ ? absl::StatusOr<size_t>(input_.Damaged("it ends within a member")) : 0;
      }
      if (!in_member_ && inflateReset(&stream_) != Z_OK) {
        return input_.Damaged("no gzip member");
      }
      in_member_ = true;
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
      stream_.avail_in = static_cast<uInt>(input_.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END) {
        return input_.Damaged(stream_.msg == nullptr ? "bad data" : stream_.msg);
      }
      input_.Take(input_.size() - stream_.avail_in);
      in_member_ = result != Z_STREAM_END;
    }
    return buffer.size() - stream_.avail_out;
  }

 private:
  Input input_;
  z_stream stream_;
  bool initialized_ = false;
  bool in_member_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<PlainFile> file, PlainFile::Open(path));
  const std::string head = file->Peek(4);
  if (head == "\x28\xb5\x2f\xfd") {
    return std::make_unique<ZstdFile>(std::move(file));
  }
  if (head.size() >= 2 && head[0] == '\x1f' && head[1] == '\x8b') {
    return std::make_unique<GzipFile>(std::move(file));
  }
  return file;
}

absl::StatusOr<FileDigest> DigestFile(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, OpenFile(path));
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(), &XXH64_freeState);
  XXH64_reset(state.get(), 0);
  std::vector<char> buffer(kInputBytes);
  FileDigest digest;
  for (;;) {
    TRIBUTARY_ASSIGN_OR_RETURN(const size_t read, source->Read(absl::MakeSpan(buffer)));
    if (read == 0) {
      break;
    }
    XXH64_update(state.get(), buffer.data(), read);
    digest.bytes += static_cast<int64_t>(read);
  }
  digest.xxh64 = XXH64_digest(state.get());
  return digest;
}

}  // namespace tributary::batch
