#include "batch_layer/schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "batch_layer/schedule/schedule_state.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, &time, &error)) << text << ": " << error;
  return time;
}

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() { EXPECT_TRUE(log_.CreateTopics({{.name = "late-events"}}).ok()); }

  // A process that starts.
  void Start(const Timetable& timetable) {
    scheduler_.reset();
    late_.StartAt({});
    auto opened = Scheduler::Open(Options(), timetable, clock_, &late_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    scheduler_ = *std::move(opened);
  }
  Scheduler::Options Options() {
    return {.dir = dir_.Join("schedule"),
            .late = {.more_than = 10, .gap = absl::Hours(1)},
            .stopped = [this] { return stopped_; },
            .run =
                [this] {
                  ran_.push_back(absl::FormatTime("%d %H:%M", clock_.Now(), absl::UTCTimeZone()));
                  clock_.Advance(run_takes_);
                  return on_run_();
                }};
  }
  // As the main loop does, with the fake clock.
  void RunUntil(const std::string& text) {
    for (const absl::Time end = At(text); clock_.Now() < end;) {
      const absl::Duration wait = scheduler_->RunOnce();
      ASSERT_LE(wait, absl::Minutes(1));
      clock_.Advance(std::max(wait, absl::Milliseconds(1)));
    }
  }
  void LateEventsCome(int count) {
    auto producer = log_.OpenProducer();
    ASSERT_TRUE(producer.ok());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE((*producer)->Produce({.topic = "late-events", .key = "u", .value = "late"}, absl::Seconds(1)).ok());
    }
  }
  v1::ScheduleState State() { return *ReadScheduleState(dir_.Join("schedule/SCHEDULE.json")); }

  const TempDir dir_;
  FakeClock clock_{At("2026-10-23 12:00")};
  FakeEventLog log_{clock_};
  LateEvents late_{[this]() -> absl::StatusOr<std::shared_ptr<EventLog>> {
                     return std::shared_ptr<EventLog>(std::shared_ptr<EventLog>(), &log_);  // Borrowed.
                   },
                   "late-events",
                   {Isolation::kCommitted, absl::ZeroDuration(), 3}};
  const Timetable nightly_ = *Timetable::DailyAt("02:30", "Europe/Berlin");
  bool stopped_ = false;
  absl::Duration run_takes_ = absl::Minutes(20);
  std::function<int()> on_run_ = [] { return 0; };
  std::vector<std::string> ran_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, RunsOnceANightThroughTheChangeOfTheClock) {
  Start(nightly_);
  RunUntil("2026-10-27 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30", "25 00:30", "26 01:30", "27 01:30"));
}

TEST_F(SchedulerTest, WhatWasMissedIsCaughtUpOnceWhenAProcessStarts) {
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  scheduler_.reset();
  clock_.Set(At("2026-10-28 17:00"));
  Start(nightly_);
  RunUntil("2026-10-29 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30", "28 17:00", "29 01:30"));
}

TEST_F(SchedulerTest, TheFirstNightIsCaughtUpTooWhenTheProcessWasAway) {
  Start(nightly_);
  RunUntil("2026-10-23 13:00");
  scheduler_.reset();
  clock_.Set(At("2026-10-24 09:00"));
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 09:00"));
}

TEST_F(SchedulerTest, AFailedRunIsTriedAgainAtItsNextTimeOnly) {
  on_run_ = [] { return 4; };
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_EQ(State().exit_code(), 4);
  Start(nightly_);
  RunUntil("2026-10-25 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30", "25 00:30"));
}

TEST_F(SchedulerTest, ARunThatTakesLongerThanTheDistanceIsFollowedByOneNotBySeveral) {
  run_takes_ = absl::Hours(7);
  Start(*Timetable::Every("2h"));
  RunUntil("2026-10-24 00:00");
  EXPECT_THAT(ran_, ElementsAre("23 12:00", "23 19:00"));
}

TEST_F(SchedulerTest, AStopInTheMiddleOfARunIsTakenUpByTheNextProcess) {
  on_run_ = [this] {
    stopped_ = true;
    return 7;
  };
  Start(nightly_);
  clock_.Set(At("2026-10-24 00:30"));
  scheduler_->RunOnce();
  EXPECT_EQ(scheduler_->exit_code(), 7);
  scheduler_->RunOnce();
  EXPECT_EQ(scheduler_->exit_code(), std::nullopt);  // Stopped: it begins nothing more.
  EXPECT_EQ(ran_.size(), 1u);
  stopped_ = false;
  on_run_ = [] { return 0; };
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30", "24 00:50"));
}

// The machine loses power, or memory, whenever a run is on.
TEST_F(SchedulerTest, ARunThatDiesWithTheProcessIsTakenUpAFewTimes) {
  std::string during;
  on_run_ = [&] {
    during = ReadText(dir_.Join("schedule/SCHEDULE.json"));
    return 0;
  };
  Start(nightly_);
  clock_.Set(At("2026-10-24 00:30"));
  for (int start = 0; start < 6; ++start) {
    scheduler_->RunOnce();
    scheduler_.reset();
    dir_.Write("schedule/SCHEDULE.json", during);  // What a process that died within the run leaves.
    Start(nightly_);
  }
  EXPECT_EQ(ran_.size(), static_cast<size_t>(kMaxAttempts));
  RunUntil("2026-10-25 12:00");
  EXPECT_EQ(ran_.back(), "25 00:30");
}

TEST_F(SchedulerTest, EnoughLateEventsAskForARunButNotWithinTheGap) {
  Start(nightly_);
  RunUntil("2026-10-23 13:00");
  LateEventsCome(10);
  RunUntil("2026-10-23 14:00");
  EXPECT_THAT(ran_, IsEmpty());
  LateEventsCome(1);
  RunUntil("2026-10-23 14:30");
  EXPECT_THAT(ran_, ElementsAre("23 14:00"));
  LateEventsCome(100);
  RunUntil("2026-10-23 20:00");
  EXPECT_THAT(ran_, ElementsAre("23 14:00", "23 15:00"));
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("23 14:00", "23 15:00", "24 00:30"));
}

TEST_F(SchedulerTest, LateEventsOfBeforeTheLastRunAreForgottenByNoProcess) {
  Start(nightly_);
  LateEventsCome(8);
  RunUntil("2026-10-24 06:00");
  LateEventsCome(6);
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_EQ(ran_.size(), 1u);
  LateEventsCome(5);
  Start(nightly_);
  RunUntil("2026-10-24 13:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30", "24 12:00"));
}

TEST_F(SchedulerTest, WithoutABrokerTheTimetableHolds) {
  log_.SetBrokerAway(true);
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30"));
}

TEST_F(SchedulerTest, ASecondSchedulerIsRefused) {
  Start(nightly_);
  EXPECT_TRUE(absl::IsAborted(Scheduler::Open(Options(), nightly_, clock_, nullptr).status()));
}

TEST_F(SchedulerTest, AStateThatCannotBeReadIsBegunAnew) {
  std::filesystem::create_directories(dir_.Join("schedule"));
  dir_.Write("schedule/SCHEDULE.json", "{\"since\": ");
  Start(nightly_);
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30"));
  EXPECT_EQ(State().exit_code(), 0);
}

// A full disk: what cannot be written is known to this process all the same.
TEST_F(SchedulerTest, AStateThatCannotBeWrittenMakesNoSecondRun) {
  Start(nightly_);
  std::filesystem::create_directories(dir_.Join("schedule/SCHEDULE.json.tmp"));
  RunUntil("2026-10-24 12:00");
  EXPECT_THAT(ran_, ElementsAre("24 00:30"));
  EXPECT_FALSE(State().has_started());
}

TEST_F(SchedulerTest, AClockThatIsPutBackALittleMakesNoSecondRun) {
  Start(nightly_);
  RunUntil("2026-10-24 00:30");
  on_run_ = [this] {
    clock_.Set(At("2026-10-24 00:29"));
    return 0;
  };
  RunUntil("2026-10-24 12:00");
  EXPECT_EQ(ran_.size(), 1u);
}

}  // namespace
}  // namespace tributary::batch
