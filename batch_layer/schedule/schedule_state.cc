#include "batch_layer/schedule/schedule_state.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/snapshot/files.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 20;  // Some ten thousand partitions.

bool IsPossible(const v1::ScheduleState& state) {
  for (const v1::ScheduleState::LateEvents& late : state.late_events()) {
    if (late.partition() < 0 || late.offset() < 0) {
      return false;
    }
  }
  return state.has_since() && state.attempts() >= 0;
}

}  // namespace

absl::StatusOr<v1::ScheduleState> ScheduleStateFromJson(const std::string& json) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of later versions.
  v1::ScheduleState state;
  if (!google::protobuf::util::JsonStringToMessage(json, &state, options).ok() || !IsPossible(state)) {
    return absl::DataLossError("text is no state of a schedule");
  }
  return state;
}

absl::StatusOr<std::string> ScheduleStateToJson(const v1::ScheduleState& state) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  if (const auto status = google::protobuf::util::MessageToJsonString(state, &json, options); !status.ok()) {
    return absl::InternalError(absl::StrCat("state cannot be written as JSON: error=", status.ToString()));
  }
  return json;
}

absl::StatusOr<v1::ScheduleState> ReadScheduleState(const std::string& path) {
  const absl::StatusOr<std::string> json = files::Read(path, kMaxBytes);
  if (!json.ok() && !absl::IsOutOfRange(json.status())) {
    return json.status();
  }
  absl::StatusOr<v1::ScheduleState> state = ScheduleStateFromJson(json.value_or(""));
  return state.ok() ? state : absl::DataLossError(absl::StrCat("file is no state of a schedule: path=", path));
}

absl::Status WriteScheduleState(const std::string& path, const v1::ScheduleState& state) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string json, ScheduleStateToJson(state));
  return files::Replace(path, json);
}

}  // namespace tributary::batch
