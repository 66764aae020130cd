#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include <limits>

#include "common/snapshot/gate_verdict.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as GATE.json: what is taken has an outcome, is written and read back the same; what is refused is DataLoss.
namespace tributary::fuzz {
namespace {

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::GateVerdict verdict;
  verdict.set_generation(3);
  verdict.set_outcome(v1::GateVerdict::PASSED);
  std::vector<std::string> seeds = {*GateVerdictToJson(verdict)};
  verdict.set_active_generation(2);
  verdict.mutable_judged()->set_seconds(1'700'000'000);
  v1::GateCheck& check = *verdict.add_checks();
  check.set_name("list_churn");
  check.set_candidate(std::numeric_limits<double>::quiet_NaN());
  check.set_active(0.5);
  check.set_at_most(std::numeric_limits<double>::infinity());
  verdict.set_outcome(v1::GateVerdict::FORCED);
  seeds.push_back(*GateVerdictToJson(verdict));
  verdict.set_damage("file short: file=items.bin");
  verdict.set_outcome(v1::GateVerdict::REFUSED);
  seeds.push_back(*GateVerdictToJson(verdict));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto verdict = GateVerdictFromJson(std::string(reinterpret_cast<const char*>(data), size));
  if (!verdict.ok()) {
    CHECK(absl::IsDataLoss(verdict.status())) << verdict.status();
    return 0;
  }
  CHECK(v1::GateVerdict::Outcome_IsValid(verdict->outcome()) &&
        verdict->outcome() != v1::GateVerdict::OUTCOME_UNSPECIFIED);
  const auto written = GateVerdictToJson(*verdict);
  CHECK(written.ok()) << written.status();
  const auto again = GateVerdictFromJson(*written);
  CHECK(again.ok()) << again.status() << "\n" << *written;
  CHECK_EQ(again->SerializeAsString(), verdict->SerializeAsString());
  return 0;
}
