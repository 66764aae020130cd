#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_WINDOWS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_WINDOWS_H_

#include <optional>

#include "serving_layer/requests/freshness.h"
#include "tributary/v1/analytics_service.pb.h"

namespace tributary::serving {

// Fills windows and complete_from of a checked request from the live counts alone, on either side of W: what is short-term
// is a function of event time (design.md, the seam law). Time: the live segments, each looked up once.
void FillWindows(const LivePartitions& live, const v1::WindowsRequest& request, v1::WindowsResponse* response);

// The first quarter-hour whose events the live counts have all, but for those dated ahead of their record; none: all.
std::optional<int64_t> FirstCompleteQuarter(const LivePartitions& live);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_WINDOWS_H_
