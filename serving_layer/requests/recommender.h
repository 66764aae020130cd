#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/counts/counts.h"
#include "common/merge/policy.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/item_trends.h"
#include "serving_layer/live_state/live_popularity.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/segment_trends.h"
#include "serving_layer/requests/experiments.h"
#include "serving_layer/requests/fold_in_queue.h"
#include "serving_layer/requests/freshness.h"
#include "serving_layer/requests/merge_request.h"
#include "serving_layer/requests/page_token.h"
#include "tributary/v1/admin_service.pb.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// Answers requests from the current context and the live state: it checks, looks up, calls Merge and writes the answer;
// it ranks nothing itself.
//
// Reads:   one point read of the snapshot for a user; everything else is in memory. One context and one W a request.
// Threads: call from any number of threads; none waits for a writer. Buffers are kept by thread and used again.
// Errors:  InvalidArgument names the field; FailedPrecondition: the page token is stale, or the snapshot
//          is too old for the live view; DataLoss: the snapshot's entry of this user is unreadable.
class Recommender {
 public:
  struct Options {
    absl::Duration stale_after;     // Live state older than this is flagged.
    int64_t segment_size = 0;       // B.
    const Experiments* experiments = nullptr;   // Null: none. Borrowed, as the next.
    const LivePopularity* popularity = nullptr; // Null: the snapshot's lists are not counted on.
    const SegmentTrends* segment_trends = nullptr;   // Null: nothing is trending among a segment.
    FoldInQueue* fold_ins = nullptr;                 // Null: requests fold in themselves, however dear.
  };

  // `log_reachable` is called for every answer, from any thread. Borrows policy, clock, live, context and trends.
  Recommender(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
              const ContextPublisher& context, ItemTrends& trends, std::function<bool()> log_reachable);

  // Without waiting for min_freshness: the answer is flagged when it is not reached.
  absl::Status Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const;
  // Makes the list of a user that was queued, for the requests to come; nothing if its snapshot is held no more.
  absl::Status FoldIn(const FoldInQueue::Entry& queued) const;
  absl::Status SimilarItems(const v1::SimilarItemsRequest& request, v1::SimilarItemsResponse* response) const;
  absl::Status Popular(const v1::PopularRequest& request, v1::PopularResponse* response) const;
  absl::Status BatchRecommend(const v1::BatchRecommendRequest& request, v1::BatchRecommendResponse* response) const;
  absl::Status Trending(const v1::TrendingRequest& request, v1::TrendingResponse* response) const;
  absl::Status Latest(const v1::LatestRequest& request, v1::LatestResponse* response) const;
  absl::Status Score(const v1::ScoreRequest& request, v1::ScoreResponse* response) const;
  absl::Status RecentlyViewed(const v1::RecentlyViewedRequest& request, v1::RecentlyViewedResponse* response) const;
  absl::Status GetProfile(const v1::GetProfileRequest& request, v1::GetProfileResponse* response) const;
  // NotFound besides: the item is not in the answer.
  absl::Status Because(const v1::BecauseRequest& request, v1::BecauseResponse* response) const;
  absl::Status WhyNot(const v1::WhyNotRequest& request, v1::WhyNotResponse* response) const;
  // Exact counts across the seam: what the snapshot counted, and the live segments at or above W.
  absl::Status Totals(const v1::TotalsRequest& request, v1::TotalsResponse* response) const;
  absl::Status Windows(const v1::WindowsRequest& request, v1::WindowsResponse* response) const;
  absl::Status ExperimentRates(const v1::ExperimentRatesRequest& request, v1::ExperimentRatesResponse* response) const;
  void GetFreshness(v1::GetFreshnessResponse* response) const;
  // The name of the bucket that the user is in; empty: none.
  std::string BucketOf(absl::string_view user_id) const;

  // True when an answer given now would rest on everything up to and including the position.
  bool Covers(const v1::EventPosition& position) const;

 private:
  // Of no user in particular: from the current snapshot.
  RequestView View() const;
  RequestView ViewOver(const ServingContext& context) const;
  // As the user is served: in its bucket, and from the canary's candidate if it is one of the canary's users.
  RequestView ViewOf(absl::string_view user_id) const;
  // As its user is served, or as it asks to be. InvalidArgument: there is no such bucket; FailedPrecondition: the generation
  // that it names, or that the bucket has, is not held.
  absl::StatusOr<RequestView> ViewFor(const v1::RecommendRequest& request, absl::string_view user_id) const;
  // Makes `merge` ready to run for a checked request, and `token` for its answer; `view` is of its time.
  absl::Status Prepare(const v1::RecommendRequest& request, RequestView* view, MergeRequest* merge,
                       PageToken* token) const;
  static void WriteFreshness(const v1::RecommendRequest& request, const RequestView& view, const MergeRequest& merge,
                             v1::Freshness* freshness);
  absl::Status RecommendToGroup(const google::protobuf::RepeatedPtrField<v1::RecommendRequest>& requests,
                                v1::RecommendResponse* response) const;
  absl::Status Explain(const v1::RecommendRequest& request, const std::string& item_id, RequestView* view,
                       MergeRequest* merge, MergeExplanation* explanation) const;
  absl::Status AnswerFromList(const RequestView& view, std::vector<ScoredItem> list, CandidateSource source,
                              const v1::ItemFilter* filter, int limit, absl::string_view segment, MergeRequest* merge,
                              google::protobuf::RepeatedPtrField<v1::RecommendedItem>* items,
                              v1::Freshness* freshness) const;
  // What is known of the user now.
  absl::Status ReadUser(const std::string& user_id, const RequestView& view, MergeRequest* merge, UserHistory* history,
                        v1::Freshness* freshness) const;

  const Options options_;
  const MergePolicy& policy_;
  const Clock& clock_;
  const LiveState& live_;
  const ContextPublisher& context_;
  ItemTrends& trends_;
  const std::function<bool()> log_reachable_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_RECOMMENDER_H_
