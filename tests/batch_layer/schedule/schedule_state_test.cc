#include "batch_layer/schedule/schedule_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

// As the first version wrote it: it must be read for good.
TEST(ScheduleStateTest, TheGoldenStateIsRead) {
  const auto state = ReadScheduleState(TRIBUTARY_GOLDEN_DIR "/SCHEDULE.json");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->since().seconds(), 1'700'000'000);
  EXPECT_EQ(state->started().seconds(), 1'700'086'400);
  EXPECT_EQ(state->started().nanos(), 250'000'000);
  EXPECT_EQ(state->ended().seconds(), 1'700'086'460);
  EXPECT_EQ(state->exit_code(), 8);
  EXPECT_EQ(state->attempts(), 1);
  ASSERT_EQ(state->late_events_size(), 1);
  EXPECT_EQ(state->late_events(0).partition(), 3);
  EXPECT_EQ(state->late_events(0).offset(), 1234);
}

TEST(ScheduleStateTest, IsWrittenAndReadTheSame) {
  const TempDir dir;
  const std::string path = dir.Join("SCHEDULE.json");
  EXPECT_TRUE(absl::IsNotFound(ReadScheduleState(path).status()));
  v1::ScheduleState state;
  state.mutable_since()->set_seconds(5);
  state.mutable_started()->set_nanos(7);
  state.set_attempts(2);
  state.add_late_events()->set_offset(9);
  ASSERT_TRUE(WriteScheduleState(path, state).ok());
  EXPECT_EQ(ReadScheduleState(path)->SerializeAsString(), state.SerializeAsString());
  state.set_exit_code(0);  // Done is not the same as not ended.
  ASSERT_TRUE(WriteScheduleState(path, state).ok());
  EXPECT_TRUE(ReadScheduleState(path)->has_exit_code());
}

TEST(ScheduleStateTest, WhatIsNoStateIsNamed) {
  const TempDir dir;
  for (const char* text :
       {"", "{", "{}", "[]", "{\"since\":\"yesterday\"}", "{\"since\":\"2026-01-01T00:00:00Z\",\"attempts\":-1}",
        "{\"since\":\"2026-01-01T00:00:00Z\",\"lateEvents\":[{\"offset\":\"-1\"}]}"}) {
    const absl::Status status = ReadScheduleState(dir.Write("SCHEDULE.json", text)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << text << " " << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("SCHEDULE.json")) << text;
  }
  EXPECT_TRUE(absl::IsDataLoss(ReadScheduleState(dir.Write("SCHEDULE.json", std::string(2'000'000, ' '))).status()));
}

}  // namespace
}  // namespace tributary::batch
