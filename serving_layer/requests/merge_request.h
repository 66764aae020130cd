#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_MERGE_REQUEST_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_MERGE_REQUEST_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/merge/live_facts.h"
#include "common/merge/merge.h"
#include "common/snapshot/snapshot.h"
#include "common/user_state/user_history.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/requests/freshness.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// `now`: what the age is counted to.
void WriteCause(const EventCause& cause, absl::Time now, v1::EventReference* reference);

// The input of one Merge and its buffers: one a thread, used again and again, so that a request allocates little.
// Call Begin first, then what the request has, then Run. Not thread-safe.
class MergeRequest {
 public:
  // The calling thread's own.
  static MergeRequest& OfThread();

  MergeInput& input() { return input_; }
  const MergeInput& input() const { return input_; }
  const MergeResult& result() const { return result_; }

  // Clears everything but the buffers' capacity. Borrows the arguments until Run returns. If `view` is of the past, SetUser
  // leaves out live facts after it. `policy`: where the view's bucket has none.
  void Begin(MergeKind kind, const RequestView& view, const MergePolicy& policy);
  // Looks the user up: the snapshot's list and history, live views, segment; folds in one who has acted since W, or where
  // that is dear and the view has a queue for it, takes the list made last. DataLoss: the snapshot's entry is broken.
  absl::Status SetUser(absl::string_view user_id, const LiveState& live, const ContextPublisher& context);
  void SetFilter(const v1::ItemFilter& filter);
  void SetBasket(const v1::RequestContext& context);
  void SetRecentItems(const google::protobuf::RepeatedPtrField<std::string>& item_ids);
  void SetSimilarTo(const google::protobuf::RepeatedPtrField<std::string>& item_ids);
  void SetShown(std::vector<ItemNumber> shown);
  absl::Span<const ItemNumber> shown() const { return shown_; }
  // The user's list waits in the queue: it does not count the latest events.
  bool fold_in_pending() const { return fold_in_pending_; }

  absl::Status Run() { return Merge(input_, &scratch_, &result_); }
  // Instead of Run: what is known of the user now, snapshot and live. FailedPrecondition as of Merge.
  absl::Status ReadUser(UserHistory* history, std::vector<LiveFact>* facts) const;

  // Writes the ranked items with their reasons.
  void WriteItems(absl::Time now, google::protobuf::RepeatedPtrField<v1::RecommendedItem>* items) const;
  void WriteItem(const MergedItem& merged, absl::Time now, v1::RecommendedItem* item) const;

 private:
  // The snapshot's list and history.
  absl::Status ReadStored(absl::string_view user_id);
  // The list of a user who has acted since W.
  absl::Status FoldIn(absl::string_view user_id, const LiveUserViews& views);
  // Instead of the stored list; borrows it.
  void TakeFolded(absl::Span<const ScoredItem> list);
  // The list until then: that of before, unless it rests on what the user forgot since.
  void TakeListOfBefore();
  static uint64_t VersionOf(const LiveUserViews& views);
  // Those up to input_.now_unix_ms, by event time; valid until the next user.
  absl::Span<const Fact> PastFacts(absl::Span<const Fact> facts);
  // Numbers of the names that the catalogue knows; the others have none.
  void NumbersOf(const google::protobuf::RepeatedPtrField<std::string>& item_ids, std::vector<ItemNumber>* numbers) const;

  MergeInput input_;
  const ServingContext* context_ = nullptr;
  const LoadedSnapshot* snapshot_ = nullptr;
  MergeScratch scratch_;
  MergeResult result_;
  StoredUser stored_;
  std::vector<ScoredItem> folded_;
  UserHistory history_now_;          // With what is live, and the facts: while the user is folded in.
  std::vector<LiveFact> facts_;
  serving::FoldIn::Scratch fold_in_;
  std::vector<LivePartition> live_;
  bool past_ = false;
  FoldInQueue* fold_ins_ = nullptr;
  bool fold_in_pending_ = false;
  std::deque<std::vector<Fact>> past_facts_;   // What live_ points to, when past_.
  ItemFilter filter_;
  std::vector<ItemNumber> basket_;
  std::vector<ItemNumber> recent_items_;
  std::vector<ItemNumber> similar_to_;
  std::vector<ItemNumber> shown_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_MERGE_REQUEST_H_
