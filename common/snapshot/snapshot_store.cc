#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/snapshot/canary.h"
#include "common/snapshot/files.h"
#include "common/snapshot/format.h"
#include "common/snapshot/manifest.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"

namespace tributary {

namespace format = snapshot_format;

SnapshotStore::SnapshotStore(std::string snapshots_dir) : dir_(std::move(snapshots_dir)) {}

absl::StatusOr<std::vector<v1::SnapshotManifest>> SnapshotStore::List() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, files::ListDirectories(dir_));
  std::vector<v1::SnapshotManifest> manifests;
  for (const std::string& name : names) {
    const std::optional<Generation> generation = ParseGeneration(name);
    if (!generation) {
      continue;
    }
    if (absl::StatusOr<v1::SnapshotManifest> manifest = ReadManifest(*generation); manifest.ok()) {
      manifests.push_back(*std::move(manifest));
    }
  }
  std::sort(manifests.begin(), manifests.end(),
            [](const auto& a, const auto& b) { return a.generation() < b.generation(); });
  return manifests;
}

absl::StatusOr<v1::SnapshotManifest> SnapshotStore::ReadManifest(Generation generation) const {
  return ReadCompleteManifest(SnapshotPath(dir_, generation), generation);
}

absl::StatusOr<Generation> SnapshotStore::Current() const {
  constexpr int64_t kMaxBytes = 64;
  const std::string path = absl::StrCat(dir_, "/", format::kCurrentFile);
  absl::StatusOr<std::string> text = files::Read(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(absl::StrCat("no snapshot was activated yet: path=", path));
  }
  std::optional<Generation> generation;
  if (text.ok()) {
    generation = ParseGeneration(absl::StripSuffix(*text, "\n"));
  } else if (!absl::IsOutOfRange(text.status())) {
    return text.status();
  }
  if (!generation) {
    return absl::DataLossError(absl::StrCat("file names no generation: path=", path));
  }
  return *generation;
}

absl::Status SnapshotStore::Activate(Generation generation) {
  // Against Remove and other Activates, here and in other processes; readers of CURRENT need no lock.
  TRIBUTARY_ASSIGN_OR_RETURN(const files::DirectoryLock lock, files::DirectoryLock::Acquire(dir_));
  TRIBUTARY_RETURN_IF_ERROR(ReadManifest(generation).status());
  // First: one that was current before may become it again, and no canary of then with it.
  if (const absl::StatusOr<Generation> current = Current(); !current.ok() || *current != generation) {
    TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(absl::StrCat(dir_, "/", format::kCanaryFile)));
  }
  return files::Replace(absl::StrCat(dir_, "/", format::kCurrentFile), absl::StrCat(Value(generation), "\n"));
}

absl::StatusOr<std::unique_ptr<FileLock>> SnapshotStore::LockForRun() const {
  TRIBUTARY_RETURN_IF_ERROR(files::CreateDirectories(dir_));
  return FileLock::Acquire(absl::StrCat(dir_, "/", format::kLockFile));
}

absl::StatusOr<std::vector<std::string>> SnapshotStore::RemoveLeftovers() {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, files::ListDirectories(dir_));
  std::vector<std::string> removed;
  for (const std::string& name : names) {
    absl::string_view generation = name;
    const bool leftover = (absl::ConsumeSuffix(&generation, format::kPartialSuffix) ||
                           absl::ConsumeSuffix(&generation, format::kRemovedSuffix)) &&
                          ParseGeneration(generation).has_value();
    if (leftover) {
      TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(absl::StrCat(dir_, "/", name)));
      removed.push_back(name);
    }
  }
  return removed;
}

absl::StatusOr<Generation> SnapshotStore::LastGeneration() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, files::ListDirectories(dir_));
  Generation last{0};
  for (const std::string& name : names) {
    last = std::max(last, ParseGeneration(name).value_or(last));
  }
  return last;
}

absl::Status SnapshotStore::Remove(Generation generation) {
  TRIBUTARY_ASSIGN_OR_RETURN(const files::DirectoryLock lock, files::DirectoryLock::Acquire(dir_));
  const absl::StatusOr<Generation> current = Current();
  if (current.ok() && *current == generation) {
    return absl::FailedPreconditionError(absl::StrCat("snapshot is the current one: generation=", Value(generation)));
  }
  if (!current.ok() && !absl::IsNotFound(current.status())) {
    return current.status();
  }
  if (const absl::StatusOr<v1::Canary> canary = ReadCanary(*this);
      canary.ok() && canary->generation() == Value(generation)) {
    return absl::FailedPreconditionError(absl::StrCat("snapshot is a canary: generation=", Value(generation)));
  }
  const std::string path = SnapshotPath(dir_, generation);
  const std::string removed = absl::StrCat(path, format::kRemovedSuffix);
  TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(removed));
  // Renamed first: half a snapshot is never visible.
  TRIBUTARY_RETURN_IF_ERROR(files::Rename(path, removed));
  TRIBUTARY_RETURN_IF_ERROR(files::Sync(dir_));
  return files::RemoveAll(removed);
}

}  // namespace tributary
