#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULER_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch_layer/schedule/late_events.h"
#include "batch_layer/schedule/next_run.h"
#include "batch_layer/schedule/timetable.h"
#include "common/clock/clock.h"
#include "common/process/file_lock.h"
#include "tributary/v1/schedule.pb.h"

namespace tributary::batch {

// Makes runs when they are due. What it knows of the last one lies in `dir`/SCHEDULE.json, written before a run begins
// and after it ended, so that a process that starts later knows what was missed and what was cut short. A state that
// cannot be written (disk full) is logged and kept in memory; one that cannot be read is logged and begun anew.
//
// Threads: one.
class Scheduler {
 public:
  struct Options {
    std::string dir;  // Made when it is missing. One scheduler at a time.
    LateRule late;
    absl::Duration longest_wait = absl::Minutes(1);  // Until the clock and late events are looked at again.
    std::function<bool()> stopped = [] { return false; };
    std::function<int()> run;  // One run, to its end. Answers its exit code.
  };

  // Borrows `clock` and `late`, which may be null. Aborted: another scheduler has `dir`.
  static absl::StatusOr<std::unique_ptr<Scheduler>> Open(Options options, const Timetable& timetable,
                                                         const Clock& clock, LateEvents* late);

  // Makes the run that is due, if one is. Answers how long to wait before the next call.
  absl::Duration RunOnce();
  // Of the run that the last RunOnce made. Unset: it made none.
  std::optional<int> exit_code() const { return exit_code_; }

 private:
  Scheduler(Options options, const Timetable& timetable, const Clock& clock, LateEvents* late,
            std::unique_ptr<FileLock> lock, v1::ScheduleState state);

  NextRun Decide(int64_t late_events) const;
  // 0 when they are not asked for or cannot be counted.
  int64_t CountLateEvents();
  void Run(const NextRun& run);
  void Save() const;

  const Options options_;
  const Timetable timetable_;
  const Clock& clock_;
  LateEvents* const late_;
  const std::unique_ptr<FileLock> lock_;
  v1::ScheduleState state_;
  bool just_started_ = true;
  std::optional<int> exit_code_;
  absl::Time announced_ = absl::InfinitePast();  // The next run that was logged.
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_SCHEDULER_H_
