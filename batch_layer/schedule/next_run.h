#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_NEXT_RUN_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_NEXT_RUN_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "batch_layer/schedule/timetable.h"

// When is the next run, and why? The decision alone; batch_layer/schedule/scheduler.h carries it out.
namespace tributary::batch {

// A run that died with its scheduler is taken up again so many times before it waits for its next time: what kills it
// (a limit of memory, say) may do so again.
inline constexpr int kMaxAttempts = 3;

struct LastRun {
  absl::Time started;
  std::optional<int> exit_code;  // Unset: it died together with the scheduler.
  int attempts = 1;              // Runs in a row, this one included, before one ended.
};

// Late events ask for a run.
struct LateRule {
  int64_t more_than = 0;  // 0: never.
  absl::Duration gap;     // From the beginning of the last run, whatever had asked for it.
};

struct Situation {
  absl::Time now;
  absl::Time since;  // When the schedule was first started.
  std::optional<LastRun> last;
  bool just_started = false;  // The scheduler: nobody else can have taken up what was left.
  int64_t late_events = 0;    // That lie there since the last run began.
};

enum class RunReason { kFirst, kDue, kResumed, kLateEvents };
const char* Name(RunReason reason);

struct NextRun {
  absl::Time at;  // Up to `now`: at once.
  RunReason reason = RunReason::kDue;
};

// In this order:
//   1. A run that was stopped together with the scheduler, or died with it, is taken up when it starts again.
//   2. Without any run yet, a timetable may begin at once.
//   3. What was due since the last run began, or since the schedule was first started, is due now: once, however often
//      it was missed. A failed run is a run: it is tried again at its next time.
//   4. Enough late events ask for a run before that, `gap` after the last one began.
//   5. Else the next time of the timetable.
// A last run in the future (the machine's clock was put back) counts as of now. Pure.
NextRun DecideNextRun(const Timetable& timetable, const LateRule& late, const Situation& situation);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_NEXT_RUN_H_
