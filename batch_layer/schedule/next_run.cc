#include "batch_layer/schedule/next_run.h"

#include <algorithm>

#include "batch_layer/exit_code.h"

namespace tributary::batch {
namespace {

bool WasCutShort(const LastRun& run) {
  return run.exit_code ? *run.exit_code == static_cast<int>(ExitCode::kStopped) : run.attempts < kMaxAttempts;
}

}  // namespace

const char* Name(RunReason reason) {
  switch (reason) {
    case RunReason::kFirst:
      return "first";
    case RunReason::kDue:
      return "due";
    case RunReason::kResumed:
      return "resumed";
    case RunReason::kLateEvents:
      return "late_events";
  }
  return "?";
}

NextRun DecideNextRun(const Timetable& timetable, const LateRule& late, const Situation& situation) {
  const std::optional<LastRun>& last = situation.last;
  if (last && situation.just_started && WasCutShort(*last)) {
    return {situation.now, RunReason::kResumed};
  }
  if (!last && timetable.begins_at_once()) {
    return {situation.now, RunReason::kFirst};
  }
  const absl::Time before = std::min(situation.now, last ? last->started : situation.since);
  const absl::Time due = timetable.NextAfter(before);
  if (late.more_than > 0 && situation.late_events > late.more_than && due > situation.now) {
    const absl::Time asked = last ? std::max(situation.now, before + late.gap) : situation.now;
    if (asked < due) {
      return {asked, RunReason::kLateEvents};
    }
  }
  return {due, RunReason::kDue};
}

}  // namespace tributary::batch
