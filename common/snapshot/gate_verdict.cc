#include "common/snapshot/gate_verdict.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/snapshot/files.h"
#include "common/snapshot/manifest.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

constexpr int64_t kMaxVerdictBytes = int64_t{1} << 20;

std::string VerdictPath(const std::string& snapshots_dir, Generation generation) {
  return absl::StrCat(SnapshotPath(snapshots_dir, generation), "/GATE.json");
}

}  // namespace

absl::StatusOr<v1::GateVerdict> GateVerdictFromJson(const std::string& json) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of later versions.
  v1::GateVerdict verdict;
  if (!google::protobuf::util::JsonStringToMessage(json, &verdict, options).ok() ||
      !v1::GateVerdict::Outcome_IsValid(verdict.outcome()) ||
      verdict.outcome() == v1::GateVerdict::OUTCOME_UNSPECIFIED) {
    return absl::DataLossError("text is no verdict of the gate");
  }
  return verdict;
}

absl::StatusOr<std::string> GateVerdictToJson(const v1::GateVerdict& verdict) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  if (const auto status = google::protobuf::util::MessageToJsonString(verdict, &json, options); !status.ok()) {
    return absl::InternalError(absl::StrCat("verdict cannot be written as JSON: generation=", verdict.generation(),
                                            " error=", status.ToString()));
  }
  return json;
}

absl::Status WriteGateVerdict(const std::string& snapshots_dir, const v1::GateVerdict& verdict) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string json, GateVerdictToJson(verdict));
  return files::Replace(VerdictPath(snapshots_dir, Generation{verdict.generation()}), json);
}

absl::StatusOr<v1::GateVerdict> ReadGateVerdict(const std::string& snapshots_dir, Generation generation) {
  const std::string path = VerdictPath(snapshots_dir, generation);
  const absl::StatusOr<std::string> json = files::Read(path, kMaxVerdictBytes);
  if (!json.ok() && !absl::IsOutOfRange(json.status())) {
    return json.status();
  }
  absl::StatusOr<v1::GateVerdict> verdict = GateVerdictFromJson(json.value_or(""));
  if (!verdict.ok() || verdict->generation() != Value(generation)) {
    return absl::DataLossError(absl::StrCat("file is no verdict of this generation: path=", path));
  }
  return verdict;
}

bool WasRefused(const std::string& snapshots_dir, Generation generation) {
  const absl::StatusOr<v1::GateVerdict> verdict = ReadGateVerdict(snapshots_dir, generation);
  return verdict.ok() && verdict->outcome() == v1::GateVerdict::REFUSED;
}

std::optional<Generation> RollbackTarget(const std::string& snapshots_dir,
                                         absl::Span<const v1::SnapshotManifest> manifests, Generation current) {
  std::optional<Generation> target;
  for (const v1::SnapshotManifest& manifest : manifests) {
    const Generation generation{manifest.generation()};
    if (generation < current && (!target || generation > *target) && !WasRefused(snapshots_dir, generation)) {
      target = generation;
    }
  }
  return target;
}

}  // namespace tributary
