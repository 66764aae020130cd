#include <glog/logging.h>

#include "serving_layer/requests/forget_report.h"
#include "tests/fuzz/fuzz_target.h"

// Any text as a report id: what is taken is in range, and is what its own id says.
namespace tributary::fuzz {

std::vector<std::string> FuzzSeeds() {
  return {"0:17:1700000000000", "3:9223372036854775807:0", "-1:2:3", "1:2:3:4", ""};
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::serving;
  const auto forget = DecodeReportId(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!forget.ok()) {
    CHECK(absl::IsInvalidArgument(forget.status()));
    return 0;
  }
  const auto again = DecodeReportId(EncodeReportId(*forget));
  CHECK(again.ok() && again->position == forget->position && again->event_time_unix_ms == forget->event_time_unix_ms);
  return 0;
}
