#include "serving_layer/requests/recommender.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/event_log/event_log.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "serving_layer/live_state/floor.h"
#include "serving_layer/requests/absence.h"
#include "serving_layer/requests/analytics.h"
#include "serving_layer/requests/checks.h"
#include "serving_layer/requests/merge_request.h"
#include "serving_layer/requests/page_token.h"

namespace tributary::serving {
namespace {

// Of every field that must stay the same from page to page.
uint64_t HashOf(const v1::RecommendRequest& request) {
  thread_local std::string bytes;
  if (request.page_token().empty() && !request.has_min_freshness() && !request.has_max_wait()) {
    request.SerializeToString(&bytes);
  } else {
    v1::RecommendRequest same = request;
    same.clear_page_token();
    same.clear_min_freshness();
    same.clear_max_wait();
    same.SerializeToString(&bytes);
  }
  return XXH64(bytes.data(), bytes.size(), 0);
}

uint32_t SnapshotItems(const ServingContext& context) {
  return context.snapshot ? context.snapshot->reader().item_count() : 0;
}

// What is so of the user, whatever the list.
void AddUserFlags(const MergeRequest& merge, v1::Freshness* freshness) {
  if (merge.result().unknown_user) {
    AddDegradation(v1::UNKNOWN_USER, freshness);
  }
  if (merge.result().truncated) {
    AddDegradation(v1::TRUNCATED_USER, freshness);
  }
  if (merge.fold_in_pending()) {
    AddDegradation(v1::FOLD_IN_PENDING, freshness);
  }
}

void AddFlags(const MergeRequest& merge, v1::Freshness* freshness) {
  AddUserFlags(merge, freshness);
  if (merge.result().list_short) {
    AddDegradation(v1::LIST_SHORT, freshness);
  }
}

// Whether an item has a category; all have the one without a name. An unknown category has no items.
class InCategory {
 public:
  InCategory(const Catalogue& catalogue, const std::string& name)
      : catalogue_(catalogue), all_(name.empty()), category_(catalogue.FindCategory(name)) {}
  bool operator()(ItemNumber item) const {
    const absl::Span<const CategoryNumber> categories = catalogue_.Categories(item);
    return all_ || (category_ && std::find(categories.begin(), categories.end(), *category_) != categories.end());
  }

 private:
  const Catalogue& catalogue_;
  const bool all_;
  const std::optional<CategoryNumber> category_;
};

EventCause EventOf(const Decision& decision) {
  return {
      .type = decision.kind, .position = decision.key.position, .event_time_unix_ms = decision.key.event_time_unix_ms};
}

// Several absences are one cause of the API.
void WriteAbsent(const MergeResult& result, v1::RecommendResponse* response) {
  std::map<v1::WhyNotResponse::Cause, int32_t> counts;
  for (const auto& [absence, items] : result.absent) {
    counts[CauseOf(absence)] += items;
  }
  for (const auto& [cause, items] : counts) {
    v1::AbsentItems* absent = response->add_absent();
    absent->set_cause(cause);
    absent->set_items(items);
  }
}

// Null: it is not held.
const ServingContext* HeldOf(const ServedContexts& contexts, Generation generation) {
  return contexts.current.generation() == generation                     ? &contexts.current
         : contexts.other && contexts.other->generation() == generation ? &*contexts.other
                                                                        : nullptr;
}

absl::Status NotHeld(absl::string_view field, Generation generation, const ServedContexts& contexts) {
  return absl::FailedPreconditionError(absl::StrCat(
      field, " is not held by this replica (a canary of 0 % makes it hold one): ", field, "=", Value(generation),
      " current=", Value(contexts.current.generation()),
      " other=", contexts.other ? Value(contexts.other->generation()) : 0));
}

}  // namespace

Recommender::Recommender(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
                         const ContextPublisher& context, ItemTrends& trends, std::function<bool()> log_reachable)
    : options_(options),
      policy_(policy),
      clock_(clock),
      live_(live),
      context_(context),
      trends_(trends),
      log_reachable_(std::move(log_reachable)) {}

RequestView Recommender::View() const { return ViewOver(context_.context()); }

RequestView Recommender::ViewOver(const ServingContext& context) const {
  return {.context = context,
          .live = live_.partitions(),
          .live_sessions = live_.SessionsOf(context),
          .trending = trends_.Resolved(context),
          .popular = options_.popularity == nullptr ? nullptr : options_.popularity->Of(context),
          .now = clock_.Now(),
          .log_reachable = log_reachable_(),
          .stale_after = options_.stale_after,
          .fold_ins = options_.fold_ins};
}

RequestView Recommender::ViewOf(absl::string_view user_id) const {
  const ServedContexts& contexts = context_.contexts();
  // The other one may fall below the floor between two looks of the snapshot manager.
  const bool other = contexts.other && CheckFloor(*contexts.other->snapshot, live_.partitions()).ok();
  const ExperimentBucket* bucket = options_.experiments == nullptr ? nullptr : options_.experiments->Of(user_id);
  const ServingContext* context = &contexts.current;
  if (bucket != nullptr && bucket->generation != Generation{0}) {
    const ServingContext* const held = HeldOf(contexts, bucket->generation);
    if (held == nullptr || (held != context && !other)) {
      bucket = nullptr;
    } else {
      context = held;
    }
  } else if (other && !user_id.empty() &&
             UserPoint(user_id, static_cast<uint64_t>(Value(contexts.other->generation()))) < contexts.other_share) {
    context = &*contexts.other;
  }
  RequestView view = ViewOver(*context);
  view.bucket = bucket;
  return view;
}

absl::StatusOr<RequestView> Recommender::ViewFor(const v1::RecommendRequest& request, absl::string_view user_id) const {
  if (request.experiment_bucket().empty() && request.as_of_generation() == 0) {
    return ViewOf(user_id);
  }
  const ServedContexts& contexts = context_.contexts();
  const ExperimentBucket* bucket = nullptr;
  if (options_.experiments != nullptr) {
    bucket = request.experiment_bucket().empty() ? options_.experiments->Of(user_id)
                                                 : options_.experiments->Find(request.experiment_bucket());
  }
  if (bucket == nullptr && !request.experiment_bucket().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("experiment_bucket is none of the configuration: experiment_bucket=", request.experiment_bucket()));
  }
  const bool asked = request.as_of_generation() != 0;
  const Generation generation = asked               ? Generation{request.as_of_generation()}
                                : bucket != nullptr ? bucket->generation
                                                    : Generation{0};
  const ServingContext* const context =
      generation == Generation{0} ? &contexts.current : HeldOf(contexts, generation);
  if (context == nullptr) {
    return NotHeld(asked ? "as_of_generation" : "generation of experiment_bucket", generation, contexts);
  }
  RequestView view = ViewOver(*context);
  view.bucket = bucket;
  return view;
}

std::string Recommender::BucketOf(absl::string_view user_id) const {
  EpochGuard guard;
  const RequestView view = ViewOf(user_id);
  return view.bucket == nullptr ? "" : view.bucket->name;
}

absl::Status Recommender::Prepare(const v1::RecommendRequest& request, RequestView* view, MergeRequest* merge,
                                  PageToken* token) const {
  if (request.has_as_of_time()) {
    const google::protobuf::Timestamp& time = request.as_of_time();
    view->as_of = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
    if (*view->as_of > view->now) {
      return absl::InvalidArgumentError("as_of_time must not be after now");
    }
  }
  merge->Begin(MergeKind::kRecommend, *view, policy_);
  if (!request.user_id().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(merge->SetUser(request.user_id(), live_, context_));
  }
  if (request.has_filter()) {
    merge->SetFilter(request.filter());
  }
  if (request.has_context()) {
    merge->SetBasket(request.context());
  }
  if (!request.recent_items().empty()) {
    merge->SetRecentItems(request.recent_items());
  }
  token->generation = view->context.generation();
  token->request_hash = HashOf(request);
  if (!request.page_token().empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(PageToken shown,
                               DecodePageToken(request.page_token(), token->generation, token->request_hash,
                                               *view->context.catalogue, SnapshotItems(view->context)));
    merge->SetShown(std::move(shown.shown));
  }
  MergeInput& input = merge->input();
  input.limit = EffectiveLimit(request.limit());
  input.exclude_seen = request.exclude_seen();
  input.max_per_category = request.max_per_category();
  input.without_reasons = request.without_reasons();
  return absl::OkStatus();
}

absl::Status Recommender::Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  TRIBUTARY_ASSIGN_OR_RETURN(RequestView view, ViewFor(request, request.user_id()));
  MergeRequest& merge = MergeRequest::OfThread();
  PageToken token;
  TRIBUTARY_RETURN_IF_ERROR(Prepare(request, &view, &merge, &token));
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());

  const MergeResult& result = merge.result();
  merge.WriteItems(view.counted_to(), response->mutable_items());
  if (result.more && merge.shown().size() + result.items.size() <= kMaxShown) {
    token.shown.reserve(merge.shown().size() + result.items.size());
    token.shown.assign(merge.shown().begin(), merge.shown().end());
    for (const MergedItem& item : result.items) {
      token.shown.push_back(item.item);
    }
    response->set_next_page_token(EncodePageToken(token, *view.context.catalogue, SnapshotItems(view.context)));
  }
  if (!result.absent.empty()) {
    WriteAbsent(result, response);
  }
  WriteFreshness(request, view, merge, response->mutable_freshness());
  if (view.bucket != nullptr) {
    response->set_experiment_bucket(view.bucket->name);
  }
  return absl::OkStatus();
}

void Recommender::WriteFreshness(const v1::RecommendRequest& request, const RequestView& view,
                                 const MergeRequest& merge, v1::Freshness* freshness) {
  FillFreshness(view, freshness);
  AddUserPartitions(view, request.user_id(), merge.input().live, freshness);
  AddFlags(merge, freshness);
  if (request.has_min_freshness()) {
    const v1::EventPosition& position = request.min_freshness().position();
    if (!view.Covers(PartitionId{position.partition()}, Offset{position.offset()})) {
      AddDegradation(v1::FRESHNESS_NOT_REACHED, freshness);
    }
  }
}

absl::Status Recommender::FoldIn(const FoldInQueue::Entry& queued) const {
  EpochGuard guard;
  const ServingContext* const context = HeldOf(context_.contexts(), queued.generation);
  if (context == nullptr) {
    return absl::OkStatus();
  }
  RequestView view = ViewOver(*context);
  view.fold_ins = nullptr;
  MergeRequest& merge = MergeRequest::OfThread();
  merge.Begin(MergeKind::kRecommend, view, policy_);
  merge.input().weights.newcomer = 1;   // It was asked for, in whatever bucket.
  return merge.SetUser(queued.user_id, live_, context_);
}

absl::Status Recommender::BatchRecommend(const v1::BatchRecommendRequest& request,
                                         v1::BatchRecommendResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  if (request.as_group()) {
    return RecommendToGroup(request.requests(), response->add_responses());
  }
  EpochGuard guard;  // One snapshot for all of them.
  for (int i = 0; i < request.requests_size(); ++i) {
    if (const absl::Status status = Recommend(request.requests(i), response->add_responses()); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat("requests[", i, "].", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status Recommender::RecommendToGroup(const google::protobuf::RepeatedPtrField<v1::RecommendRequest>& requests,
                                           v1::RecommendResponse* response) const {
  EpochGuard guard;
  TRIBUTARY_ASSIGN_OR_RETURN(RequestView view, ViewFor(requests[0], ""));
  MergeRequest& merge = MergeRequest::OfThread();
  v1::RecommendRequest asked = requests[0];
  asked.set_without_reasons(true);
  PageToken token;
  const int users = requests.size();
  const auto prepare = [&](int i) {
    asked.set_user_id(requests[i].user_id());
    const absl::Status status = Prepare(asked, &view, &merge, &token);
    return status.ok() ? status : absl::Status(status.code(), absl::StrCat("requests[", i, "].", status.message()));
  };
  // What any of them would be shown; nobody's list fills the group's.
  std::set<ItemNumber> candidates;
  if (view.bucket != nullptr) {
    response->set_experiment_bucket(view.bucket->name);
  }
  v1::Freshness* freshness = response->mutable_freshness();
  FillFreshness(view, freshness);
  for (int i = 0; i < users; ++i) {
    TRIBUTARY_RETURN_IF_ERROR(prepare(i));
    merge.input().limit = std::max(kMaxScoreItems / users, merge.input().limit);
    merge.input().max_per_category = 0;
    TRIBUTARY_RETURN_IF_ERROR(merge.Run());
    for (const MergedItem& item : merge.result().items) {
      if (candidates.size() < kMaxScoreItems) {
        candidates.insert(item.item);
      }
    }
    AddUserPartitions(view, asked.user_id(), merge.input().live, freshness);
    AddUserFlags(merge, freshness);
  }
  const std::vector<ItemNumber> scored(candidates.begin(), candidates.end());
  struct Sum {
    int users = 0;
    double score = 0;
  };
  std::map<ItemNumber, Sum> sums;
  for (int i = 0; i < users && !scored.empty(); ++i) {
    TRIBUTARY_RETURN_IF_ERROR(prepare(i));
    merge.input().kind = MergeKind::kScore;
    merge.input().score_items = scored;
    merge.input().limit = static_cast<int>(scored.size());
    merge.input().max_per_category = 0;
    TRIBUTARY_RETURN_IF_ERROR(merge.Run());
    const std::vector<MergedItem>& items = merge.result().items;
    const double best = items.empty() ? 0 : items.front().score;
    for (const MergedItem& item : items) {
      Sum& sum = sums[item.item];
      ++sum.users;
      sum.score += best > 0 ? item.score / best : 0;
    }
  }
  std::vector<ScoredItem> list;
  for (const auto& [item, sum] : sums) {
    if (sum.users == users) {
      list.push_back({item, static_cast<float>(sum.score / users)});
    }
  }
  std::sort(list.begin(), list.end(), [](const ScoredItem& a, const ScoredItem& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  });
  // Rules, filter and suppressions have had their say in the scores: what is left is the cap and the page.
  std::map<CategoryNumber, int> shown;
  for (const ScoredItem& scored_item : list) {
    if (response->items_size() == EffectiveLimit(asked.limit())) {
      break;
    }
    const absl::Span<const CategoryNumber> categories = view.context.catalogue->Categories(scored_item.item);
    if (asked.max_per_category() > 0 && !categories.empty() && ++shown[categories.front()] > asked.max_per_category()) {
      continue;
    }
    v1::RecommendedItem* item = response->add_items();
    const absl::string_view id = view.context.catalogue->Id(scored_item.item);
    item->mutable_item_id()->assign(id.data(), id.size());
    item->set_score(scored_item.score);
  }
  if (response->items_size() < EffectiveLimit(asked.limit())) {
    AddDegradation(v1::LIST_SHORT, freshness);
  }
  return absl::OkStatus();
}

absl::Status Recommender::Explain(const v1::RecommendRequest& request, const std::string& item_id, RequestView* view,
                                  MergeRequest* merge, MergeExplanation* explanation) const {
  PageToken token;
  TRIBUTARY_RETURN_IF_ERROR(Prepare(request, view, merge, &token));
  merge->input().explain = view->context.catalogue->Find(item_id);
  TRIBUTARY_RETURN_IF_ERROR(merge->Run());
  *explanation = merge->result().explanation.value_or(MergeExplanation{.absence = Absence::kDeleted});
  return absl::OkStatus();
}

absl::Status Recommender::Because(const v1::BecauseRequest& request, v1::BecauseResponse* response) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::RecommendRequest explained, ExplainedRequest(request));
  EpochGuard guard;
  TRIBUTARY_ASSIGN_OR_RETURN(RequestView view, ViewFor(explained, explained.user_id()));
  MergeRequest& merge = MergeRequest::OfThread();
  MergeExplanation explanation;
  TRIBUTARY_RETURN_IF_ERROR(Explain(explained, request.item_id(), &view, &merge, &explanation));
  if (explanation.absence != Absence::kNone) {
    return absl::NotFoundError(absl::StrCat("item is not in the answer, WhyNot says more: item_id=", request.item_id(),
                                            " cause=", v1::WhyNotResponse::Cause_Name(CauseOf(explanation.absence)),
                                            " detail=\"", Describe(explanation, merge.input()), "\""));
  }
  merge.WriteItem(*explanation.item, view.counted_to(), response->mutable_item());
  response->set_rank(explanation.rank);
  WriteFreshness(explained, view, merge, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::WhyNot(const v1::WhyNotRequest& request, v1::WhyNotResponse* response) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::RecommendRequest explained, ExplainedRequest(request));
  EpochGuard guard;
  TRIBUTARY_ASSIGN_OR_RETURN(RequestView view, ViewFor(explained, explained.user_id()));
  MergeRequest& merge = MergeRequest::OfThread();
  MergeExplanation explanation;
  TRIBUTARY_RETURN_IF_ERROR(Explain(explained, request.item_id(), &view, &merge, &explanation));
  response->set_cause(CauseOf(explanation.absence));
  response->set_detail(Describe(explanation, merge.input()));
  response->set_rank(explanation.rank);
  response->set_candidates(explanation.candidates);
  if (explanation.cause) {
    WriteCause(*explanation.cause, view.counted_to(), response->mutable_event());
  }
  if (explanation.rule) {
    response->set_rule_id(merge.input().rules->rule(*explanation.rule).rule_id);
  }
  if (explanation.item) {
    merge.WriteItem(*explanation.item, view.counted_to(), response->mutable_item());
  }
  WriteFreshness(explained, view, merge, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::SimilarItems(const v1::SimilarItemsRequest& request, v1::SimilarItemsResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = ViewOf(request.user_id());
  MergeRequest& merge = MergeRequest::OfThread();
  merge.Begin(MergeKind::kSimilar, view, policy_);
  if (!request.user_id().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(merge.SetUser(request.user_id(), live_, context_));
  }
  if (request.has_filter()) {
    merge.SetFilter(request.filter());
  }
  merge.SetSimilarTo(request.item_ids());
  FillFreshness(view, response->mutable_freshness());
  AddUserPartitions(view, request.user_id(), merge.input().live, response->mutable_freshness());
  if (merge.input().similar_to.empty()) {
    // None of the items is known: nothing is like them.
    AddDegradation(v1::LIST_SHORT, response->mutable_freshness());
    return absl::OkStatus();
  }
  merge.input().limit = EffectiveLimit(request.limit());
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());
  merge.WriteItems(view.now, response->mutable_items());
  AddFlags(merge, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::Popular(const v1::PopularRequest& request, v1::PopularResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  FillFreshness(view, response->mutable_freshness());
  MergeRequest& merge = MergeRequest::OfThread();
  merge.Begin(MergeKind::kPopular, view, policy_);
  if (!request.category().empty()) {
    merge.input().popular_category = view.context.catalogue->FindCategory(request.category());
    if (!merge.input().popular_category) {
      // An unknown category has no popular items; the overall list would answer another question.
      AddDegradation(v1::LIST_SHORT, response->mutable_freshness());
      return absl::OkStatus();
    }
  }
  if (!request.segment().empty()) {
    merge.input().segment = request.segment();   // Its rules count too.
    merge.input().popular_in_segment = true;
  }
  if (request.has_filter()) {
    merge.SetFilter(request.filter());
  }
  merge.input().limit = EffectiveLimit(request.limit());
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());
  merge.WriteItems(view.now, response->mutable_items());
  AddFlags(merge, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::AnswerFromList(const RequestView& view, std::vector<ScoredItem> list, CandidateSource source,
                                         const v1::ItemFilter* filter, int limit, absl::string_view segment,
                                         MergeRequest* merge,
                                         google::protobuf::RepeatedPtrField<v1::RecommendedItem>* items,
                                         v1::Freshness* freshness) const {
  merge->Begin(MergeKind::kList, view, policy_);
  if (filter != nullptr) {
    merge->SetFilter(*filter);
  }
  merge->input().list = list;
  merge->input().list_source = source;
  merge->input().segment = segment;   // Its rules count too.
  merge->input().limit = EffectiveLimit(limit);
  TRIBUTARY_RETURN_IF_ERROR(merge->Run());
  merge->WriteItems(view.now, items);
  FillFreshness(view, freshness);
  AddFlags(*merge, freshness);
  return absl::OkStatus();
}

absl::Status Recommender::Trending(const v1::TrendingRequest& request, v1::TrendingResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  // Before the guard: it may wait for the counting of a segment.
  std::shared_ptr<const ItemTrends::List> trends;
  if (request.segment().empty()) {
    trends = trends_.Top(clock_.Now(), Window(request));
  }
  EpochGuard guard;
  if (!request.segment().empty()) {
    trends = std::make_shared<const ItemTrends::List>(
        options_.segment_trends == nullptr
            ? ItemTrends::List()
            : options_.segment_trends->Top(request.segment(), clock_.Now(), Window(request)));
  }
  const RequestView view = View();
  const Catalogue& catalogue = *view.context.catalogue;
  const InCategory in_category(catalogue, request.category());
  std::vector<ScoredItem> list;
  for (const auto& [item_id, weight] : *trends) {
    const std::optional<ItemNumber> item = catalogue.Find(item_id);
    if (item && in_category(*item)) {
      list.push_back({*item, static_cast<float>(weight)});
    }
  }
  MergeRequest& merge = MergeRequest::OfThread();
  TRIBUTARY_RETURN_IF_ERROR(AnswerFromList(view, std::move(list), CandidateSource::kTrending,
                                           request.has_filter() ? &request.filter() : nullptr, request.limit(),
                                           request.segment(), &merge,
                                           response->mutable_items(), response->mutable_freshness()));
  for (size_t p = 0; p < view.live.partitions.size(); ++p) {
    AddPartition(view, PartitionId{static_cast<int32_t>(p)}, response->mutable_freshness());
  }
  return absl::OkStatus();
}

absl::Status Recommender::Latest(const v1::LatestRequest& request, v1::LatestResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  const std::vector<ItemNumber>& newest = *view.context.newest;
  const InCategory in_category(*view.context.catalogue, request.category());
  std::vector<ScoredItem> list;
  for (size_t i = 0; i < newest.size(); ++i) {
    if (in_category(newest[i])) {
      list.push_back({newest[i], 1 - static_cast<float>(i) / static_cast<float>(kNewestItems)});
    }
  }
  return AnswerFromList(view, std::move(list), CandidateSource::kLatest,
                        request.has_filter() ? &request.filter() : nullptr, request.limit(), /*segment=*/"",
                        &MergeRequest::OfThread(), response->mutable_items(), response->mutable_freshness());
}

absl::Status Recommender::Score(const v1::ScoreRequest& request, v1::ScoreResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = ViewOf(request.user_id());
  MergeRequest& merge = MergeRequest::OfThread();
  merge.Begin(MergeKind::kScore, view, policy_);
  TRIBUTARY_RETURN_IF_ERROR(merge.SetUser(request.user_id(), live_, context_));
  std::vector<ItemNumber> asked;
  for (const std::string& item_id : request.item_ids()) {
    if (const std::optional<ItemNumber> item = view.context.catalogue->Find(item_id)) {
      asked.push_back(*item);
    }
  }
  merge.input().score_items = asked;
  merge.input().limit = kMaxScoreItems;
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());
  merge.WriteItems(view.now, response->mutable_items());
  FillFreshness(view, response->mutable_freshness());
  AddUserPartitions(view, request.user_id(), merge.input().live, response->mutable_freshness());
  if (view.bucket != nullptr) {
    response->set_experiment_bucket(view.bucket->name);
  }
  AddUserFlags(merge, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::RecentlyViewed(const v1::RecentlyViewedRequest& request,
                                         v1::RecentlyViewedResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = ViewOf(request.user_id());
  MergeRequest& merge = MergeRequest::OfThread();
  UserHistory history;
  TRIBUTARY_RETURN_IF_ERROR(ReadUser(request.user_id(), view, &merge, &history, response->mutable_freshness()));
  // One an item, the later of view and click.
  std::vector<const Decision*> views;
  const int64_t now_unix_ms = merge.input().now_unix_ms;
  for (const Decision& decision : history.decisions()) {
    if ((decision.kind != v1::VIEW && decision.kind != v1::CLICK) ||
        Value(decision.item) >= view.context.catalogue->size() ||
        !view.context.catalogue->IsAvailable(decision.item, now_unix_ms)) {
      continue;
    }
    if (!views.empty() && views.back()->item == decision.item) {
      views.back() = views.back()->key < decision.key ? &decision : views.back();
    } else {
      views.push_back(&decision);
    }
  }
  const size_t kept = std::min(views.size(), static_cast<size_t>(EffectiveLimit(request.limit())));
  std::partial_sort(views.begin(), views.begin() + static_cast<ptrdiff_t>(kept), views.end(),
                    [](const Decision* a, const Decision* b) { return b->key < a->key; });
  for (size_t i = 0; i < kept; ++i) {
    response->add_items()->set_item_id(std::string(view.context.catalogue->Id(views[i]->item)));
    WriteCause(EventOf(*views[i]), view.now, response->add_events());
  }
  return absl::OkStatus();
}

absl::Status Recommender::GetProfile(const v1::GetProfileRequest& request, v1::GetProfileResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = ViewOf(request.user_id());
  MergeRequest& merge = MergeRequest::OfThread();
  UserHistory history;
  TRIBUTARY_RETURN_IF_ERROR(ReadUser(request.user_id(), view, &merge, &history, response->mutable_freshness()));
  std::map<absl::string_view, v1::GetProfileResponse::ItemDecisions> by_id;
  for (const Decision& decision : history.decisions()) {
    if (Value(decision.item) < view.context.catalogue->size()) {
      v1::GetProfileResponse::ItemDecisions& item = by_id[view.context.catalogue->Id(decision.item)];
      WriteCause(EventOf(decision), view.now, item.add_decisions());
    }
  }
  for (auto& [item_id, item] : by_id) {
    item.set_item_id(std::string(item_id));
    *response->add_items() = std::move(item);
  }
  response->set_segment(std::string(merge.input().segment));
  if (const std::optional<int64_t> forgotten = history.forgotten_until_unix_ms()) {
    response->mutable_forgotten_until()->set_seconds(*forgotten / 1000);
    response->mutable_forgotten_until()->set_nanos(static_cast<int32_t>(*forgotten % 1000 * 1'000'000));
  }
  return absl::OkStatus();
}

absl::Status Recommender::ReadUser(const std::string& user_id, const RequestView& view, MergeRequest* merge,
                                   UserHistory* history, v1::Freshness* freshness) const {
  merge->Begin(MergeKind::kRecommend, view, policy_);
  TRIBUTARY_RETURN_IF_ERROR(merge->SetUser(user_id, live_, context_));
  std::vector<LiveFact> facts;
  TRIBUTARY_RETURN_IF_ERROR(merge->ReadUser(history, &facts));
  FillFreshness(view, freshness);
  AddUserPartitions(view, user_id, merge->input().live, freshness);
  if (history->empty() && facts.empty()) {
    AddDegradation(v1::UNKNOWN_USER, freshness);
  }
  for (const LivePartition& partition : merge->input().live) {
    if (partition.truncated) {
      AddDegradation(v1::TRUNCATED_USER, freshness);
    }
  }
  return absl::OkStatus();
}

absl::Status Recommender::Totals(const v1::TotalsRequest& request, v1::TotalsResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  TRIBUTARY_RETURN_IF_ERROR(FillTotals(view, options_.segment_size, request, response));
  FillFreshnessOfAll(view, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::Windows(const v1::WindowsRequest& request, v1::WindowsResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  FillWindows(view.live, options_.segment_size, request, response);
  FillFreshnessOfAll(view, response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::ExperimentRates(const v1::ExperimentRatesRequest& request,
                                          v1::ExperimentRatesResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  std::vector<std::string> buckets(request.buckets().begin(), request.buckets().end());
  if (buckets.empty() && options_.experiments != nullptr) {
    buckets = options_.experiments->BucketsOf(request.experiment());
  }
  if (buckets.empty() && !request.experiment().empty()) {
    return absl::NotFoundError(absl::StrCat("no such experiment is configured: experiment=", request.experiment()));
  }
  EpochGuard guard;
  const RequestView view = View();
  TRIBUTARY_RETURN_IF_ERROR(FillRates(view, options_.segment_size, buckets, response));
  FillFreshnessOfAll(view, response->mutable_freshness());
  return absl::OkStatus();
}

void Recommender::GetFreshness(v1::GetFreshnessResponse* response) const {
  EpochGuard guard;
  FillFreshnessOfAll(View(), response->mutable_freshness());
}

bool Recommender::Covers(const v1::EventPosition& position) const {
  EpochGuard guard;
  return View().Covers(PartitionId{position.partition()}, Offset{position.offset()});
}

}  // namespace tributary::serving
