#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_FORGET_REPORT_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_FORGET_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids/ids.h"
#include "serving_layer/live_state/live_state.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/event_service.pb.h"
#include "tributary/v1/snapshot.pb.h"

// What may still hold a forgotten user, told from where the FORGET lies and what a replica knows. Pure functions.
namespace tributary::serving {

struct ForgetPosition {
  EventPosition position;
  int64_t event_time_unix_ms = 0;
};

// PARTITION:OFFSET:UNIX_MS. InvalidArgument: no such text, or a part out of range.
std::string EncodeReportId(const ForgetPosition& forget);
absl::StatusOr<ForgetPosition> DecodeReportId(absl::string_view report_id);

// `manifests`: of the complete snapshots. The rest is as GetForgetReport's message says.
v1::GetForgetReportResponse ReportForgotten(const ForgetPosition& forget,
                                            const std::vector<v1::SnapshotManifest>& manifests,
                                            const LivePartitions& live, const v1::Config& config, absl::Time now);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_FORGET_REPORT_H_
