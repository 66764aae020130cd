#include "serving_layer/requests/recommender.h"

#include <xxhash.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/event_log/event_log.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "serving_layer/live_state/floor.h"
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

// Freshness of the user's partitions: where its live views lie, and where Publish would put its next event.
void AddUserPartitions(const RequestView& view, absl::string_view user_id, const MergeInput& input,
                       v1::Freshness* freshness) {
  const int count = static_cast<int>(view.live.partitions.size());
  if (count == 0 || user_id.empty()) {
    return;
  }
  const PartitionId home = PartitionOfKey(user_id, count);
  bool home_added = false;
  for (const LivePartition& live : input.live) {
    if (!home_added && home <= live.partition) {
      home_added = true;
      AddPartition(view, home, freshness);
    }
    if (live.partition != home) {
      AddPartition(view, live.partition, freshness);
    }
  }
  if (!home_added) {
    AddPartition(view, home, freshness);
  }
}

void AddFlags(const MergeResult& result, v1::Freshness* freshness) {
  if (result.truncated) {
    AddDegradation(v1::TRUNCATED_USER, freshness);
  }
  if (result.list_short) {
    AddDegradation(v1::LIST_SHORT, freshness);
  }
}

}  // namespace

Recommender::Recommender(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
                         const ContextPublisher& context, std::function<bool()> log_reachable)
    : options_(options),
      policy_(policy),
      clock_(clock),
      live_(live),
      context_(context),
      log_reachable_(std::move(log_reachable)) {}

RequestView Recommender::View() const {
  return {.context = context_.context(),
          .live = live_.partitions(),
          .now = clock_.Now(),
          .log_reachable = log_reachable_(),
          .stale_after = options_.stale_after};
}

absl::Status Recommender::Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  MergeRequest& merge = MergeRequest::OfThread();
  merge.Begin(MergeKind::kRecommend, view, policy_);
  if (!request.user_id().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(merge.SetUser(request.user_id(), live_, context_));
  }
  if (request.has_filter()) {
    merge.SetFilter(request.filter());
  }
  if (request.has_context()) {
    merge.SetBasket(request.context());
  }
  if (!request.recent_items().empty()) {
    merge.SetRecentItems(request.recent_items());
  }
  PageToken token{.generation = view.context.generation(), .request_hash = HashOf(request), .shown = {}};
  const uint32_t snapshot_items = SnapshotItems(view.context);
  if (!request.page_token().empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(PageToken shown, DecodePageToken(request.page_token(), token.generation, token.request_hash,
                                                                *view.context.catalogue, snapshot_items));
    merge.SetShown(std::move(shown.shown));
  }
  MergeInput& input = merge.input();
  input.limit = EffectiveLimit(request.limit());
  input.exclude_seen = request.exclude_seen();
  input.max_per_category = request.max_per_category();
  input.without_reasons = request.without_reasons();
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());

  const MergeResult& result = merge.result();
  merge.WriteItems(view.now, response->mutable_items());
  if (result.more && merge.shown().size() + result.items.size() <= kMaxShown) {
    token.shown.reserve(merge.shown().size() + result.items.size());
    token.shown.assign(merge.shown().begin(), merge.shown().end());
    for (const MergedItem& item : result.items) {
      token.shown.push_back(item.item);
    }
    response->set_next_page_token(EncodePageToken(token, *view.context.catalogue, snapshot_items));
  }
  v1::Freshness* freshness = response->mutable_freshness();
  FillFreshness(view, freshness);
  AddUserPartitions(view, request.user_id(), input, freshness);
  if (result.unknown_user) {
    AddDegradation(v1::UNKNOWN_USER, freshness);
  }
  AddFlags(result, freshness);
  if (request.has_min_freshness()) {
    const v1::EventPosition& position = request.min_freshness().position();
    if (!view.Covers(PartitionId{position.partition()}, Offset{position.offset()})) {
      AddDegradation(v1::FRESHNESS_NOT_REACHED, freshness);
    }
  }
  return absl::OkStatus();
}

absl::Status Recommender::SimilarItems(const v1::SimilarItemsRequest& request, v1::SimilarItemsResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
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
  AddUserPartitions(view, request.user_id(), merge.input(), response->mutable_freshness());
  if (merge.input().similar_to.empty()) {
    // None of the items is known: nothing is like them.
    AddDegradation(v1::LIST_SHORT, response->mutable_freshness());
    return absl::OkStatus();
  }
  merge.input().limit = EffectiveLimit(request.limit());
  TRIBUTARY_RETURN_IF_ERROR(merge.Run());
  merge.WriteItems(view.now, response->mutable_items());
  AddFlags(merge.result(), response->mutable_freshness());
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
  AddFlags(merge.result(), response->mutable_freshness());
  return absl::OkStatus();
}

absl::Status Recommender::Totals(const v1::TotalsRequest& request, v1::TotalsResponse* response) const {
  TRIBUTARY_RETURN_IF_ERROR(Check(request));
  EpochGuard guard;
  const RequestView view = View();
  const LoadedSnapshot* snapshot = view.context.snapshot.get();
  if (snapshot != nullptr) {
    TRIBUTARY_RETURN_IF_ERROR(CheckFloor(*snapshot, view.live));
  }
  std::set<std::string> keys(request.keys().begin(), request.keys().end());
  if (request.measure() == v1::OVERALL) {
    keys.insert("");
  }
  for (const std::string& key : keys) {
    for (int type = v1::EventType_MIN + 1; type <= v1::EventType_MAX; ++type) {
      const CountKey count_key{.measure = request.measure(), .key = key, .type = static_cast<v1::EventType>(type)};
      CountAmounts total;
      if (snapshot != nullptr) {
        v1::CountTotal stored;
        const absl::Status found = snapshot->reader().FindCount(count_key, &stored);
        if (found.ok()) {
          total = {.events = stored.events(),
                   .quantity_micros = stored.quantity_micros(),
                   .value_micros = stored.value_micros()};
        } else if (!absl::IsNotFound(found)) {
          return found;
        }
      }
      AddLiveCounts(view, count_key, &total);
      if (total != CountAmounts()) {
        v1::Total* message = response->add_totals();
        message->set_key(key);
        message->set_type(count_key.type);
        message->set_events(total.events);
        message->set_quantity_micros(total.quantity_micros);
        message->set_value_micros(total.value_micros);
      }
    }
  }
  FillFreshnessOfAll(view, response->mutable_freshness());
  return absl::OkStatus();
}

void Recommender::AddLiveCounts(const RequestView& view, const CountKey& key, CountAmounts* total) const {
  static const SegmentCounts* const nothing_cut = new SegmentCounts;
  for (size_t p = 0; p < view.live.partitions.size(); ++p) {
    const PartitionId partition{static_cast<int32_t>(p)};
    const SegmentCounts& cut = view.context.snapshot ? view.context.snapshot->CutCounts(partition) : *nothing_cut;
    for (const auto& [start, segment] : *view.live.partitions[p].segments) {
      const LiveSegment live{.start = start, .applied = segment->order.applied, .counts = &segment->counts};
      *total += LiveContribution(live, options_.segment_size, view.context.Watermark(partition), cut, key);
    }
  }
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
