#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

// Whether a request is within the limits that its message documents. Errors: InvalidArgument names the field and the
// bound that was hit. Pure functions.
namespace tributary::serving {

inline constexpr int kDefaultLimit = 20;
inline constexpr int kMaxLimit = 100;
inline constexpr int kMaxListEntries = 100;
inline constexpr int kMaxExcludedItems = 1000;
inline constexpr int kMaxTotalsKeys = 1000;
inline constexpr int kMaxBatch = 100;
inline constexpr int kMaxScoreItems = 1000;
inline constexpr absl::Duration kMinWindow = absl::Minutes(1);
inline constexpr absl::Duration kMaxWindow = absl::Hours(24);
inline constexpr absl::Duration kDefaultWindow = absl::Hours(1);
inline constexpr absl::Duration kMaxWindowsSpan = absl::Hours(7 * 24);
inline constexpr absl::Duration kMaxFreshnessWait = absl::Seconds(10);

absl::Status Check(const v1::RecommendRequest& request);
absl::Status Check(const v1::SimilarItemsRequest& request);
absl::Status Check(const v1::PopularRequest& request);
absl::Status Check(const v1::BatchRecommendRequest& request);
absl::Status Check(const v1::TrendingRequest& request);
absl::Status Check(const v1::LatestRequest& request);
absl::Status Check(const v1::ScoreRequest& request);
absl::Status Check(const v1::RecentlyViewedRequest& request);
absl::Status Check(const v1::GetProfileRequest& request);
absl::Status Check(const v1::WatchRequest& request);
absl::Status Check(const v1::TotalsRequest& request);
absl::Status Check(const v1::WindowsRequest& request);
absl::Status Check(const v1::ExperimentRatesRequest& request);

// Of a checked request.
inline int EffectiveLimit(int limit) { return limit == 0 ? kDefaultLimit : limit; }
absl::Duration MaxWait(const v1::RecommendRequest& request);
absl::Duration Window(const v1::TrendingRequest& request);

// The request that a BecauseRequest or WhyNotRequest explains, with its user. InvalidArgument names the field.
absl::StatusOr<v1::RecommendRequest> ExplainedRequest(const v1::BecauseRequest& request);
absl::StatusOr<v1::RecommendRequest> ExplainedRequest(const v1::WhyNotRequest& request);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_
