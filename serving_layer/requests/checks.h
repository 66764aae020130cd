#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

// Whether a request is within the limits that its message documents. Errors: InvalidArgument names the field and the
// bound that was hit; Unimplemented names a field that is documented as not built yet. Pure functions.
namespace tributary::serving {

inline constexpr int kDefaultLimit = 20;
inline constexpr int kMaxLimit = 100;
inline constexpr int kMaxListEntries = 100;
inline constexpr int kMaxExcludedItems = 1000;
inline constexpr int kMaxTotalsKeys = 1000;
inline constexpr absl::Duration kMaxFreshnessWait = absl::Seconds(10);

absl::Status Check(const v1::RecommendRequest& request);
absl::Status Check(const v1::SimilarItemsRequest& request);
absl::Status Check(const v1::PopularRequest& request);
absl::Status Check(const v1::TotalsRequest& request);

// Of a checked request.
inline int EffectiveLimit(int limit) { return limit == 0 ? kDefaultLimit : limit; }
absl::Duration MaxWait(const v1::RecommendRequest& request);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_CHECKS_H_
