#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include "batch_layer/schedule/schedule_state.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as SCHEDULE.json: what is taken is written and read back the same; what is refused is DataLoss.
namespace tributary::fuzz {
namespace {

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::ScheduleState state;
  state.mutable_since()->set_seconds(1'700'000'000);
  std::vector<std::string> seeds = {*batch::ScheduleStateToJson(state)};
  state.mutable_started()->set_nanos(5);
  state.mutable_ended()->set_seconds(-1);
  state.set_exit_code(137);
  state.set_attempts(3);
  v1::ScheduleState::LateEvents& late = *state.add_late_events();
  late.set_partition(2);
  late.set_offset(1000);
  seeds.push_back(*batch::ScheduleStateToJson(state));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto state = batch::ScheduleStateFromJson(std::string(reinterpret_cast<const char*>(data), size));
  if (!state.ok()) {
    CHECK(absl::IsDataLoss(state.status())) << state.status();
    return 0;
  }
  const auto written = batch::ScheduleStateToJson(*state);
  CHECK(written.ok()) << written.status();
  const auto again = batch::ScheduleStateFromJson(*written);
  CHECK(again.ok()) << again.status() << "\n" << *written;
  CHECK_EQ(again->SerializeAsString(), state->SerializeAsString());
  return 0;
}
