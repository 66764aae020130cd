#include "tests/simulation/snapshot_copy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tributary::simulation {
namespace {

namespace fs = std::filesystem;

constexpr char kCurrent[] = "CURRENT";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Every file below `dir` that belongs to a complete generation, as the copying tool sees it: by name alone.
std::set<std::string> FilesOf(const std::string& dir) {
  std::set<std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(dir)) {
    const std::string name = entry.path().lexically_relative(dir).generic_string();
    const bool in_generation = absl::StrContains(name, '/') && !absl::StrContains(name, '.' + std::string("partial"));
    if (entry.is_regular_file() && in_generation) files.insert(name);
  }
  return files;
}

}  // namespace

SnapshotCopy::SnapshotCopy(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {
  fs::create_directories(to_);
}

std::set<std::string> SnapshotCopy::Missing() const {
  std::set<std::string> missing;
  const std::set<std::string> files = FilesOf(from_);
  std::set_difference(files.begin(), files.end(), good_.begin(), good_.end(), std::inserter(missing, missing.end()));
  return missing;
}

void SnapshotCopy::Copy(const std::string& file, How how) {
  std::string bytes = ReadAll(absl::StrCat(from_, "/", file));
  if (how == How::kTorn) {
    bytes.resize(bytes.size() / 2);
  } else if (how == How::kFlipped && !bytes.empty()) {
    bytes[bytes.size() / 2] ^= 0x10;
  } else {
    good_.insert(file);
  }
  const std::string path = absl::StrCat(to_, "/", file);
  fs::create_directories(fs::path(path).parent_path());
  fs::remove(path);  // As rsync does: whoever has the file open keeps the old one.
  std::ofstream(path, std::ios::binary) << bytes;
}

void SnapshotCopy::CopyOne(int64_t which, How how) {
  const std::set<std::string> missing = Missing();
  if (missing.empty()) return;
  Copy(*std::next(missing.begin(), which % static_cast<int64_t>(missing.size())), how);
}

void SnapshotCopy::CopyMissing(int64_t which) {
  const std::set<std::string> missing = Missing();
  for (const std::string& file : missing) {
    Copy(file, which-- % static_cast<int64_t>(missing.size()) == 0 ? How::kFlipped : How::kWhole);
  }
}

void SnapshotCopy::CopyCurrent() {
  if (!fs::exists(absl::StrCat(from_, "/", kCurrent))) return;
  const std::string partial = absl::StrCat(to_, "/", kCurrent, ".copy");
  fs::copy_file(absl::StrCat(from_, "/", kCurrent), partial, fs::copy_options::overwrite_existing);
  fs::rename(partial, absl::StrCat(to_, "/", kCurrent));
}

void SnapshotCopy::Finish() {
  for (const std::string& file : Missing()) Copy(file, How::kWhole);
  CopyCurrent();
  const std::set<std::string> files = FilesOf(from_);
  for (const std::string& file : FilesOf(to_)) {
    if (files.contains(file)) continue;
    fs::remove(absl::StrCat(to_, "/", file));
    good_.erase(file);
  }
}

}  // namespace tributary::simulation
