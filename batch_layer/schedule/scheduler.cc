#include "batch_layer/schedule/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "batch_layer/schedule/schedule_state.h"
#include "common/snapshot/files.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr char kStateFile[] = "SCHEDULE.json";
constexpr char kLockFile[] = "LOCK";

void SetTime(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

LateEvents::Offsets LateOffsets(const v1::ScheduleState& state) {
  LateEvents::Offsets offsets;
  for (const v1::ScheduleState::LateEvents& late : state.late_events()) {
    offsets[PartitionId{late.partition()}] = Offset{late.offset()};
  }
  return offsets;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Scheduler>> Scheduler::Open(Options options, const Timetable& timetable,
                                                           const Clock& clock, LateEvents* late) {
  TRIBUTARY_RETURN_IF_ERROR(files::CreateDirectories(options.dir));
  TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock,
                             FileLock::Acquire(absl::StrCat(options.dir, "/", kLockFile)));
  absl::StatusOr<v1::ScheduleState> state = ReadScheduleState(absl::StrCat(options.dir, "/", kStateFile));
  const bool is_new = !state.ok();
  if (is_new) {
    if (!absl::IsNotFound(state.status())) {
      LOG(ERROR) << "schedule: begun anew: " << state.status().message();
    }
    state = v1::ScheduleState();
    SetTime(clock.Now(), state->mutable_since());
  }
  std::unique_ptr<Scheduler> scheduler(
      new Scheduler(std::move(options), timetable, clock, late, std::move(lock), *std::move(state)));
  if (is_new) {
    scheduler->Save();
  }
  return scheduler;
}

Scheduler::Scheduler(Options options, const Timetable& timetable, const Clock& clock, LateEvents* late,
                     std::unique_ptr<FileLock> lock, v1::ScheduleState state)
    : options_(std::move(options)),
      timetable_(timetable),
      clock_(clock),
      late_(late),
      lock_(std::move(lock)),
      state_(std::move(state)) {
  if (late_ != nullptr) {
    late_->StartAt(LateOffsets(state_));
  }
}

NextRun Scheduler::Decide(int64_t late_events) const {
  Situation situation{
      .now = clock_.Now(), .since = ToTime(state_.since()), .just_started = just_started_, .late_events = late_events};
  if (state_.has_started()) {
    LastRun& last = situation.last.emplace();
    last.started = ToTime(state_.started());
    if (state_.has_exit_code()) {
      last.exit_code = state_.exit_code();
    }
    last.attempts = state_.attempts();
  }
  return DecideNextRun(timetable_, options_.late, situation);
}

int64_t Scheduler::CountLateEvents() {
  if (late_ == nullptr || options_.late.more_than == 0) {
    return 0;
  }
  const absl::StatusOr<int64_t> count = late_->Count(options_.late.more_than);
  if (!count.ok() && !options_.stopped()) {
    LOG_EVERY_T(WARNING, 60) << "schedule: late events cannot be counted: " << count.status().message()
                             << " (told once a minute)";
  }
  return count.value_or(0);
}

absl::Duration Scheduler::RunOnce() {
  exit_code_.reset();
  NextRun next = Decide(/*late_events=*/0);
  if (next.at > clock_.Now()) {
    next = Decide(CountLateEvents());  // Only now: what is due needs no counting.
  }
  if (next.at <= clock_.Now() && !options_.stopped()) {
    Run(next);
    next = Decide(/*late_events=*/0);
  }
  if (next.at != announced_) {
    LOG(INFO) << "schedule: next run at " << timetable_.Format(next.at) << " reason=" << Name(next.reason);
    announced_ = next.at;
  }
  return std::clamp(next.at - clock_.Now(), absl::ZeroDuration(), options_.longest_wait);
}

void Scheduler::Run(const NextRun& run) {
  just_started_ = false;
  const absl::Time started = std::max(clock_.Now(), run.at);  // A clock that was put back a little makes no second run.
  if (late_ != nullptr) {
    // Moved by a failed run too: what asked for it does not ask again, its next time does.
    if (absl::StatusOr<LateEvents::Offsets> ends = late_->Ends(); ends.ok()) {
      state_.clear_late_events();
      for (const auto& [partition, offset] : *ends) {
        v1::ScheduleState::LateEvents& late = *state_.add_late_events();
        late.set_partition(Value(partition));
        late.set_offset(Value(offset));
      }
      late_->StartAt(*std::move(ends));
    }
  }
  const bool goes_on = state_.has_started() && !state_.has_exit_code();
  state_.set_attempts(goes_on ? state_.attempts() + 1 : 1);
  SetTime(started, state_.mutable_started());
  state_.clear_ended();
  state_.clear_exit_code();
  Save();
  LOG(INFO) << "schedule: run begins: reason=" << Name(run.reason);
  const int exit_code = options_.run();
  const absl::Time ended = clock_.Now();
  LOG(INFO) << "schedule: run ended: exit_code=" << exit_code << " took=" << absl::FormatDuration(ended - started);
  exit_code_ = exit_code;
  SetTime(ended, state_.mutable_ended());
  state_.set_exit_code(exit_code);
  Save();
}

void Scheduler::Save() const {
  if (const absl::Status status = WriteScheduleState(absl::StrCat(options_.dir, "/", kStateFile), state_);
      !status.ok()) {
    LOG(ERROR) << "schedule: state cannot be written: " << status.message();
  }
}

}  // namespace tributary::batch
