#include "common/snapshot/canary.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/snapshot/files.h"
#include "common/snapshot/format.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

constexpr int64_t kMaxCanaryBytes = int64_t{64} << 10;

std::string CanaryPath(const SnapshotStore& store) {
  return absl::StrCat(store.dir(), "/", snapshot_format::kCanaryFile);
}

}  // namespace

absl::StatusOr<v1::Canary> CanaryFromJson(const std::string& json) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of later versions.
  v1::Canary canary;
  if (!google::protobuf::util::JsonStringToMessage(json, &canary, options).ok() || canary.generation() <= 0 ||
      canary.current_generation() <= 0 || canary.generation() == canary.current_generation() ||
      !(canary.percent() >= 0 && canary.percent() <= 100)) {  // NaN neither.
    return absl::DataLossError("text is no canary");
  }
  return canary;
}

absl::StatusOr<std::string> CanaryToJson(const v1::Canary& canary) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  if (const auto status = google::protobuf::util::MessageToJsonString(canary, &json, options); !status.ok()) {
    return absl::InternalError(absl::StrCat("canary cannot be written as JSON: generation=", canary.generation(),
                                            " error=", status.ToString()));
  }
  return json;
}

absl::StatusOr<v1::Canary> ReadCanary(const SnapshotStore& store) {
  const absl::StatusOr<std::string> json = files::Read(CanaryPath(store), kMaxCanaryBytes);
  if (!json.ok() && !absl::IsOutOfRange(json.status())) {
    return json.status();
  }
  const absl::StatusOr<v1::Canary> canary = CanaryFromJson(json.value_or(""));
  if (!canary.ok()) {
    return absl::DataLossError(absl::StrCat("file is no canary: path=", CanaryPath(store)));
  }
  const absl::StatusOr<Generation> current = store.Current();
  if (!current.ok() || Value(*current) != canary->current_generation()) {
    return absl::NotFoundError(absl::StrCat("canary ended with another snapshot: path=", CanaryPath(store)));
  }
  return canary;
}

absl::StatusOr<v1::Canary> StartCanary(const SnapshotStore& store, v1::Canary canary) {
  // Against Remove and Activate, here and in other processes.
  TRIBUTARY_ASSIGN_OR_RETURN(const files::DirectoryLock lock, files::DirectoryLock::Acquire(store.dir()));
  TRIBUTARY_ASSIGN_OR_RETURN(const Generation current, store.Current());
  if (Value(current) == canary.generation()) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot is the current one, and served to all: generation=", canary.generation()));
  }
  TRIBUTARY_RETURN_IF_ERROR(store.ReadManifest(Generation{canary.generation()}).status());
  canary.set_current_generation(Value(current));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string json, CanaryToJson(canary));
  TRIBUTARY_RETURN_IF_ERROR(files::Replace(CanaryPath(store), json));
  return canary;
}

absl::Status StopCanary(const SnapshotStore& store) {
  TRIBUTARY_ASSIGN_OR_RETURN(const files::DirectoryLock lock, files::DirectoryLock::Acquire(store.dir()));
  TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(CanaryPath(store)));
  return files::Sync(store.dir());
}

}  // namespace tributary
