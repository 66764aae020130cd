#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include "common/snapshot/canary.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as CANARY.json: what is taken is a share of the users for another generation than the current one, is written
// and read back the same; what is refused is DataLoss.
namespace tributary::fuzz {
namespace {

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::Canary canary;
  canary.set_generation(3);
  canary.set_current_generation(2);
  std::vector<std::string> seeds = {*CanaryToJson(canary)};
  canary.set_percent(12.5);
  canary.mutable_started()->set_seconds(1'700'000'000);
  seeds.push_back(*CanaryToJson(canary));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto canary = CanaryFromJson(std::string(reinterpret_cast<const char*>(data), size));
  if (!canary.ok()) {
    CHECK(absl::IsDataLoss(canary.status())) << canary.status();
    return 0;
  }
  CHECK(canary->percent() >= 0 && canary->percent() <= 100 && canary->generation() != canary->current_generation());
  const auto written = CanaryToJson(*canary);
  CHECK(written.ok()) << written.status();
  const auto again = CanaryFromJson(*written);
  CHECK(again.ok()) << again.status() << "\n" << *written;
  CHECK_EQ(again->SerializeAsString(), canary->SerializeAsString());
  return 0;
}
