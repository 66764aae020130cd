#include "common/snapshot/manifest.h"

#include <google/protobuf/util/json_util.h>
#include <xxhash.h>

#include <cstdint>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/snapshot/files.h"
#include "common/snapshot/format.h"
#include "common/snapshot/snapshot.h"
#include "common/snapshot/user_records.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

namespace format = snapshot_format;

constexpr int64_t kMaxManifestBytes = int64_t{64} << 20;
constexpr char kNoChecksum[] = "0000000000000000";
constexpr size_t kChecksumDigits = sizeof(kNoChecksum) - 1;

std::string HexXxh64(absl::string_view bytes) { return absl::StrFormat("%016x", XXH64(bytes.data(), bytes.size(), 0)); }

absl::Status Error(absl::string_view what, Generation generation, absl::string_view file) {
  return absl::DataLossError(absl::StrCat(what, ": generation=", Value(generation), " file=", file));
}

// A relative path that stays inside the snapshot.
bool IsInside(absl::string_view path) {
  if (path.empty() || path.front() == '/') {
    return false;
  }
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string SnapshotPath(const std::string& snapshots_dir, Generation generation) {
  return absl::StrCat(snapshots_dir, "/", Value(generation));
}

std::optional<Generation> ParseGeneration(absl::string_view text) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number <= 0 || absl::StrCat(number) != text) {
    return std::nullopt;
  }
  return Generation{number};
}

absl::StatusOr<std::string> ManifestToJson(v1::SnapshotManifest manifest) {
  manifest.set_manifest_checksum(kNoChecksum);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  if (const auto status = google::protobuf::util::MessageToJsonString(manifest, &json, options); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("manifest not printable: error=", status.ToString()));
  }
  // The last field of the message, so the last such string.
  json.replace(json.rfind(kNoChecksum), kChecksumDigits, HexXxh64(json));
  return json;
}

absl::StatusOr<v1::SnapshotManifest> ManifestFromJson(absl::string_view json) {
  v1::SnapshotManifest manifest;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;   // So that a newer format is recognised as such.
  const auto status =
      google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &manifest, options);
  if (!status.ok()) {
    return absl::DataLossError(absl::StrCat("manifest is not valid JSON of its kind: error=", status.ToString()));
  }
  if (manifest.format_version() > kSnapshotFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("snapshot has a newer format than this build reads: format_version=",
                                                      manifest.format_version(), " known=", kSnapshotFormatVersion));
  }
  if (manifest.format_version() <= 0 || manifest.generation() <= 0) {
    return absl::DataLossError(absl::StrCat("manifest incomplete: format_version=", manifest.format_version(),
                                            " generation=", manifest.generation()));
  }
  const std::string& checksum = manifest.manifest_checksum();
  std::string text(json);
  const size_t at = text.rfind(checksum);
  if (checksum.size() != kChecksumDigits || at == std::string::npos) {
    return absl::DataLossError("manifest has no checksum");
  }
  text.replace(at, kChecksumDigits, kNoChecksum);
  if (HexXxh64(text) != checksum) {
    return absl::DataLossError(absl::StrCat("manifest differs from its checksum: manifest_checksum=", checksum));
  }
  return manifest;
}

absl::StatusOr<v1::SnapshotManifest> ReadCompleteManifest(const std::string& path, Generation generation) {
  absl::StatusOr<std::string> json = files::Read(absl::StrCat(path, "/", format::kManifestFile), kMaxManifestBytes);
  if (absl::IsNotFound(json.status())) {
    return absl::NotFoundError(absl::StrCat("no complete snapshot: generation=", Value(generation), " path=", path));
  }
  TRIBUTARY_RETURN_IF_ERROR(json.status());
  absl::StatusOr<v1::SnapshotManifest> manifest = ManifestFromJson(*json);
  if (!manifest.ok()) {
    return absl::Status(manifest.status().code(), absl::StrCat(manifest.status().message(), " generation=", Value(generation),
                                                               " file=", format::kManifestFile));
  }
  if (manifest->generation() != Value(generation)) {
    return Error(absl::StrCat("manifest is of another generation: stated=", manifest->generation()), generation,
                 format::kManifestFile);
  }

  std::set<std::string> listed;
  for (const v1::SnapshotFile& file : manifest->files()) {
    if (!IsInside(file.path())) {
      return Error("snapshot file outside the snapshot", generation, file.path());
    }
    const absl::StatusOr<int64_t> size = files::Size(absl::StrCat(path, "/", file.path()));
    if (absl::IsNotFound(size.status())) {
      return Error("snapshot file missing", generation, file.path());
    }
    TRIBUTARY_RETURN_IF_ERROR(size.status());
    if (*size != file.size_bytes()) {
      return Error(absl::StrCat("snapshot file has the wrong size: size_bytes=", *size, " expected=", file.size_bytes()),
                   generation, file.path());
    }
    listed.insert(file.path());
  }
  const std::string database(format::kDatabaseDir);
  std::vector<std::string> all = {std::string(format::kItemsFile), std::string(format::kNeighboursFile),
                                  database + "/CURRENT"};
  if (format::HasUserFiles(manifest->format_version())) {
    all.emplace_back(format::kUsersFile);
    all.emplace_back(format::kUserIndexFile);
  }
  for (const std::string& needed : all) {
    if (!listed.contains(needed)) {
      return Error("manifest does not list a file that every snapshot has", generation, needed);
    }
  }
  // RocksDB reads what lies in its directory, so nothing else may.
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> found, files::ListFiles(absl::StrCat(path, "/", database)));
  for (const std::string& name : found) {
    if (!listed.contains(absl::StrCat(database, "/", name))) {
      return Error("snapshot file not in the manifest", generation, absl::StrCat(database, "/", name));
    }
  }
  return manifest;
}

}  // namespace tributary
