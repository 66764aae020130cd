#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/counts/counts.h"
#include "common/merge/policy.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/requests/freshness.h"
#include "tributary/v1/admin_service.pb.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// Answers requests from the current context and the live state: it checks, looks up, calls Merge and writes the answer;
// it ranks nothing itself.
//
// Reads:   one point read of the snapshot for a user; everything else is in memory. One context and one W a request.
// Threads: call from any number of threads; none waits for a writer. Buffers are kept by thread and used again.
// Errors:  InvalidArgument and Unimplemented name the field; FailedPrecondition: the page token is stale, or the snapshot
//          is too old for the live view; DataLoss: the snapshot's entry of this user is unreadable.
class Recommender {
 public:
  struct Options {
    absl::Duration stale_after;     // Live state older than this is flagged.
    int64_t segment_size = 0;       // B.
  };

  // `log_reachable` is called for every answer, from any thread. Borrows policy, clock, live and context.
  Recommender(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
              const ContextPublisher& context, std::function<bool()> log_reachable);

  // Without waiting for min_freshness: the answer is flagged when it is not reached.
  absl::Status Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const;
  absl::Status SimilarItems(const v1::SimilarItemsRequest& request, v1::SimilarItemsResponse* response) const;
  absl::Status Popular(const v1::PopularRequest& request, v1::PopularResponse* response) const;
  // Exact counts across the seam: what the snapshot counted, and the live segments at or above W.
  absl::Status Totals(const v1::TotalsRequest& request, v1::TotalsResponse* response) const;
  void GetFreshness(v1::GetFreshnessResponse* response) const;

  // True when an answer given now would rest on everything up to and including the position.
  bool Covers(const v1::EventPosition& position) const;

 private:
  RequestView View() const;
  void AddLiveCounts(const RequestView& view, const CountKey& key, CountAmounts* total) const;

  const Options options_;
  const MergePolicy& policy_;
  const Clock& clock_;
  const LiveState& live_;
  const ContextPublisher& context_;
  const std::function<bool()> log_reachable_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_
