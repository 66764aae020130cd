#include "batch_layer/import/byte_source.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <vector>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  CHECK_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

absl::StatusOr<std::string> ReadAll(const std::string& path, size_t step) {
  auto source = OpenFile(path);
  if (!source.ok()) {
    return source.status();
  }
  std::string all;
  std::vector<char> buffer(step);
  for (;;) {
    const auto read = (*source)->Read(absl::MakeSpan(buffer));
    if (!read.ok()) {
      return read.status();
    }
    if (*read == 0) {
      return all;
    }
    all.append(buffer.data(), *read);
  }
}

std::string Text() {
  std::string text;
  for (int i = 0; i < 200'000; ++i) {
    text += std::to_string(i * 2654435761u) + "\n";
  }
  return text;
}

TEST(ByteSourceTest, PlainZstdAndGzipGiveTheSameBytesAndDigest) {
  const TempDir dir;
  const std::string text = Text();
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  // Several frames, or members, in a row are one stream.
  for (const std::string& bytes : {text, Zstd(text), Zstd(half) + Zstd(rest), Gzip(text), Gzip(half) + Gzip(rest)}) {
    const std::string path = dir.Write("f", bytes);
    for (const size_t step : {size_t{1000}, size_t{1} << 22}) {
      const auto read = ReadAll(path, step);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_TRUE(*read == text) << "bytes=" << bytes.size() << " step=" << step;
    }
    const auto digest = DigestFile(path);
    ASSERT_TRUE(digest.ok());
    EXPECT_EQ(digest->xxh64, DigestFile(dir.Write("plain", text))->xxh64);
    EXPECT_EQ(digest->bytes, static_cast<int64_t>(text.size()));
  }
}

TEST(ByteSourceTest, EmptyAndTinyFilesAreRead) {
  const TempDir dir;
  for (const std::string& text : {std::string(), std::string("x")}) {
    for (const std::string& bytes : {text, Zstd(text), Gzip(text)}) {
      const auto read = ReadAll(dir.Write("f", bytes), 10);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(*read, text);
    }
  }
}

TEST(ByteSourceTest, ACompressedFileThatEndsEarlyIsDataLoss) {
  const TempDir dir;
  for (const std::string& bytes : {Zstd(Text()), Gzip(Text())}) {
    const auto read = ReadAll(dir.Write("f", bytes.substr(0, bytes.size() / 2)), 100'000);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
  }
}

TEST(ByteSourceTest, DamagedDataIsDataLoss) {
  const TempDir dir;
  for (std::string bytes : {Zstd(Text()), Gzip(Text())}) {
    for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + 100; ++i) {
      bytes[i] = '\x55';
    }
    const auto read = ReadAll(dir.Write("f", bytes), 100'000);
    // zstd without a checksum may not notice, but never gives what was not written.
    EXPECT_TRUE(!read.ok() || *read != Text());
    if (!read.ok()) {
      EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
    }
  }
}

TEST(ByteSourceTest, AMissingFileIsNotFound) {
  EXPECT_EQ(OpenFile("/nonexistent/file").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tributary::batch
