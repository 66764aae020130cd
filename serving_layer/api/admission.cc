#include "serving_layer/api/admission.h"

#include "absl/strings/str_cat.h"

namespace tributary::serving {

absl::Status Admission::Refusal(int64_t now_ns) const {
  return absl::ResourceExhaustedError(
      absl::StrCat("overloaded, try again later: queue_ms=", queue_time_ns(now_ns) / 1'000'000,
                   " max_queue_ms=", max_queue_ns_ / 1'000'000));
}

}  // namespace tributary::serving
