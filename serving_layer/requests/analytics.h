#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_ANALYTICS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_ANALYTICS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "serving_layer/requests/freshness.h"
#include "tributary/v1/analytics_service.pb.h"

// What AnalyticsService counts, of checked requests. `segment_size`: B. Each answers all but the freshness.
// Errors: FailedPrecondition: the snapshot lies below the floor, or was made by a build that did not count the measure.
namespace tributary::serving {

// Exact counts across the seam: what the snapshot counted, and the live segments at or above W.
absl::Status FillTotals(const RequestView& view, int64_t segment_size, const v1::TotalsRequest& request,
                        v1::TotalsResponse* response);

// Of each bucket, from such counts.
absl::Status FillRates(const RequestView& view, int64_t segment_size, absl::Span<const std::string> buckets,
                       v1::ExperimentRatesResponse* response);

// Windows and complete_from, from the live counts alone, on either side of W: what is short-term is a function of event time
// (design.md, the seam law). Time: the live segments, each looked up once.
void FillWindows(const LivePartitions& live, int64_t segment_size, const v1::WindowsRequest& request,
                 v1::WindowsResponse* response);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_ANALYTICS_H_
