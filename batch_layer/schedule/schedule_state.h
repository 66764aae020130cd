#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULE_STATE_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULE_STATE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tributary/v1/schedule.pb.h"

// SCHEDULE.json: what the scheduler remembers from one process to the next.
namespace tributary::batch {

// DataLoss: the text is no state, or one that cannot be: without `since`, times that are none, negative numbers.
absl::StatusOr<v1::ScheduleState> ScheduleStateFromJson(const std::string& json);
absl::StatusOr<std::string> ScheduleStateToJson(const v1::ScheduleState& state);

// NotFound: there is none yet. DataLoss as above, with the path.
absl::StatusOr<v1::ScheduleState> ReadScheduleState(const std::string& path);
// Replaces the file atomically.
absl::Status WriteScheduleState(const std::string& path, const v1::ScheduleState& state);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULE_STATE_H_
