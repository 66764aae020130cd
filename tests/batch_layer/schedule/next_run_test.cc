#include "batch_layer/schedule/next_run.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "batch_layer/exit_code.h"

namespace tributary::batch {
namespace {

constexpr int kStoppedCode = static_cast<int>(ExitCode::kStopped);
constexpr int kKilledByMemory = 128 + 9;

// Hours from midnight (UTC) of an ordinary day.
absl::Time Hour(double hours) { return absl::FromUnixSeconds(1'767'225'600) + absl::Hours(1) * hours; }

double Hours(absl::Time time) { return absl::ToDoubleHours(time - Hour(0)); }

struct Case {
  std::string what;
  std::string every;  // Empty: daily at 02:00.
  double now;
  double since;
  std::optional<LastRun> last;
  bool just_started;
  int64_t late_events;
  double at;
  RunReason reason;
};

TEST(NextRunTest, Decisions) {
  const auto ran = [](double started, std::optional<int> exit_code, int attempts = 1) {
    return LastRun{.started = Hour(started), .exit_code = exit_code, .attempts = attempts};
  };
  constexpr auto kDue = RunReason::kDue;
  constexpr auto kResumed = RunReason::kResumed;
  constexpr auto kLate = RunReason::kLateEvents;
  // clang-format off
  const Case cases[] = {
      {"a new daily schedule waits for its time", "", 12, 12, {}, true, 0, 26, kDue},
      {"a new schedule with a distance begins", "6h", 12, 12, {}, true, 0, 12, RunReason::kFirst},
      {"first time missed while nobody scheduled", "", 30, 12, {}, true, 0, 26, kDue},
      {"ran today, waits for tomorrow", "", 3, 0, ran(2, 0), false, 0, 26, kDue},
      {"due now", "", 26, 0, ran(2, 0), false, 0, 26, kDue},
      {"missed three times, due once", "", 80, 0, ran(2, 0), true, 0, 26, kDue},
      {"and after that the next time", "", 80.1, 0, ran(80, 0), false, 0, 98, kDue},
      {"failed: its next time", "", 3, 0, ran(2, 4), false, 0, 26, kDue},
      {"failed, and the scheduler was started again: its next time too", "", 3, 0, ran(2, 5), true, 0, 26, kDue},
      {"refused by the gate is no reason to try again", "", 3, 0, ran(2, 8), true, 0, 26, kDue},
      {"memory killed a run, the scheduler lives: its next time", "", 3, 0, ran(2, kKilledByMemory), false, 0, 26, kDue},
      {"stopped with the scheduler: taken up", "", 3, 0, ran(2, kStoppedCode), true, 0, 3, kResumed},
      {"somebody stopped the run alone: its next time", "", 3, 0, ran(2, kStoppedCode), false, 0, 26, kDue},
      {"died with the scheduler: taken up", "", 3, 0, ran(2, {}), true, 0, 3, kResumed},
      {"twice", "", 3, 0, ran(2, {}, 2), true, 0, 3, kResumed},
      {"three times is enough", "", 3, 0, ran(2, {}, 3), true, 0, 26, kDue},
      {"ran longer than the distance: at once", "1h", 5, 0, ran(2, 0), false, 0, 3, kDue},
      {"a distance counts from the beginning", "6h", 5, 0, ran(2, 0), false, 0, 8, kDue},
      {"the clock was put back a year: counts from now", "", 3, 0, ran(9000, 0), false, 0, 26, kDue},
      {"the clock was put back, with a distance", "6h", 3, 0, ran(9000, 0), false, 0, 9, kDue},
      {"late events, not enough of them", "", 12, 0, ran(2, 0), false, 100, 26, kDue},
      {"enough", "", 12, 0, ran(2, 0), false, 101, 12, kLate},
      {"not within the gap", "", 2.5, 0, ran(2, 0), false, 101, 3, kLate},
      {"not when the next time comes before", "", 25.9, 0, ran(25.5, 0), false, 101, 26, kDue},
      {"what is due anyway is due", "", 26, 0, ran(2, 0), false, 101, 26, kDue},
      {"without any run before there is no gap", "", 12, 11.9, {}, false, 101, 12, kLate},
      {"a failed run counts for the gap", "", 2.5, 0, ran(2, 4), false, 101, 3, kLate},
      {"the clock was put back: the gap counts from now", "", 3, 0, ran(9000, 0), false, 101, 4, kLate},
  };
  // clang-format on
  for (const Case& test : cases) {
    const Timetable timetable =
        test.every.empty() ? *Timetable::DailyAt("02:00", "UTC") : *Timetable::Every(test.every);
    const NextRun next = DecideNextRun(timetable, {.more_than = 100, .gap = absl::Hours(1)},
                                       {.now = Hour(test.now),
                                        .since = Hour(test.since),
                                        .last = test.last,
                                        .just_started = test.just_started,
                                        .late_events = test.late_events});
    EXPECT_DOUBLE_EQ(Hours(next.at), test.at) << test.what;
    EXPECT_EQ(std::string(Name(next.reason)), Name(test.reason)) << test.what;
  }
}

TEST(NextRunTest, LateEventsMayBeSwitchedOff) {
  const NextRun next = DecideNextRun(*Timetable::DailyAt("02:00", "UTC"), {},
                                     {.now = Hour(12), .since = Hour(0), .last = {}, .late_events = 1'000'000});
  EXPECT_EQ(next.reason, RunReason::kDue);
}

}  // namespace
}  // namespace tributary::batch
