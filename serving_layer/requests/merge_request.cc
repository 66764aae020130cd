#include "serving_layer/requests/merge_request.h"

#include <algorithm>
#include <iterator>
#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/live_state/floor.h"

namespace tributary::serving {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

void NumbersOfCategories(const Strings& names, const Catalogue& catalogue, std::vector<CategoryNumber>* numbers) {
  numbers->clear();
  for (const std::string& name : names) {
    if (const std::optional<CategoryNumber> number = catalogue.FindCategory(name)) {
      numbers->push_back(*number);
    }
  }
}

void NumbersOfLabels(const Strings& names, const Catalogue& catalogue, std::vector<LabelNumber>* numbers) {
  numbers->clear();
  for (const std::string& name : names) {
    if (const std::optional<LabelNumber> number = catalogue.FindLabel(name)) {
      numbers->push_back(*number);
    }
  }
}

void SetText(absl::string_view text, std::string* field) { field->assign(text.data(), text.size()); }

}  // namespace

void WriteCause(const EventCause& cause, absl::Time now, v1::EventReference* reference) {
  reference->set_type(cause.type);
  reference->mutable_position()->set_partition(Value(cause.position.partition));
  reference->mutable_position()->set_offset(Value(cause.position.offset));
  const int64_t time_ms = cause.event_time_unix_ms;
  const int64_t age_ms = absl::ToUnixMillis(now) - time_ms;
  // Timestamps round down so that nanos are never negative; a duration has the same sign in both parts.
  const int64_t time_s = time_ms >= 0 ? time_ms / 1000 : (time_ms - 999) / 1000;
  reference->mutable_event_time()->set_seconds(time_s);
  reference->mutable_event_time()->set_nanos(static_cast<int32_t>((time_ms - time_s * 1000) * 1000000));
  reference->mutable_age()->set_seconds(age_ms / 1000);
  reference->mutable_age()->set_nanos(static_cast<int32_t>(age_ms % 1000 * 1000000));
}

MergeRequest& MergeRequest::OfThread() {
  thread_local MergeRequest request;
  return request;
}

void MergeRequest::Begin(MergeKind kind, const RequestView& view, const MergePolicy& policy) {
  input_ = MergeInput();
  input_.kind = kind;
  input_.catalogue = view.context.catalogue.get();
  input_.rules = view.context.rules.get();
  input_.policy = view.bucket != nullptr ? &view.bucket->policy : &policy;
  context_ = &view.context;
  input_.sessions = &view.context.sessions();
  if (!view.as_of) {   // They are as of now.
    input_.live_sessions = view.live_sessions.index;
    input_.session_search = view.live_sessions.search;
    input_.trending = view.trending;
  }
  if (const LoadedSnapshot* snapshot = view.context.snapshot.get(); snapshot != nullptr) {
    input_.views = view.popular != nullptr && !view.as_of ? view.popular : snapshot;
    input_.weights = snapshot->weights();
    snapshot_ = snapshot;
  } else {
    input_.weights = ResolveWeights(v1::SnapshotManifest::default_instance(), policy);
    snapshot_ = nullptr;
  }
  if (view.bucket != nullptr) {
    input_.weights = view.bucket->WeightsOf(input_.weights);
  }
  input_.now_unix_ms = absl::ToUnixMillis(view.counted_to());
  past_ = view.as_of.has_value();
  fold_ins_ = view.fold_ins;
  fold_in_pending_ = false;
  shown_.clear();
}

absl::Status MergeRequest::SetUser(absl::string_view user_id, const LiveState& live, const ContextPublisher& context) {
  if (snapshot_ != nullptr) {
    snapshot_->reader().PrefetchUser(user_id);
  }
  bool tracked = true;
  if (const UserInfo* info = context.FindUser(user_id); info != nullptr) {
    input_.segment = info->segment;
    tracked = info->consent != v1::CONSENT_NO_TRACKING;
  }
  const LiveUserViews* const views = live.FindUser(user_id);
  if (views != nullptr) {
    PartitionsOf(*views, *context_, &live_);
    if (past_) {
      past_facts_.clear();
      for (LivePartition& partition : live_) {
        partition.facts = PastFacts(partition.facts);
        partition.recent = PastFacts(partition.recent);
        partition.impressions = PastFacts(partition.impressions);
      }
    }
    input_.live = live_;
    input_.user_key = LiveSessionUser(user_id);
  }
  if (snapshot_ == nullptr) {
    return absl::OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckFloor(*snapshot_, live.partitions()));
  TRIBUTARY_RETURN_IF_ERROR(ReadStored(user_id));
  input_.newcomer = input_.personal.empty();
  return views != nullptr && tracked ? FoldIn(user_id, *views) : absl::OkStatus();
}

absl::Status MergeRequest::ReadStored(absl::string_view user_id) {
  TRIBUTARY_ASSIGN_OR_RETURN(const bool known, snapshot_->reader().ReadUser(user_id, &stored_));
  if (known) {
    input_.personal = stored_.list;
    input_.personal_falls = stored_.list_falls;
    input_.history = &stored_.history;
  }
  return absl::OkStatus();
}

// What the user's facts are a function of, beside the snapshot.
uint64_t MergeRequest::VersionOf(const LiveUserViews& views) {
  uint64_t version = 0;
  for (const auto& view : views.views) {
    const int64_t parts[] = {Value(view->partition), Value(view->order.applied)};
    version = XXH64(parts, sizeof(parts), version);
  }
  return version;
}

absl::Status MergeRequest::FoldIn(absl::string_view user_id, const LiveUserViews& views) {
  const serving::FoldIn* const fold_in = snapshot_->fold_in();
  const bool wanted = (input_.kind == MergeKind::kRecommend || input_.kind == MergeKind::kScore) &&
                      (!input_.newcomer || input_.weights.newcomer > 0);
  const bool acted = std::any_of(live_.begin(), live_.end(), [](const LivePartition& partition) {
    return !partition.facts.empty() && partition.facts.back().offset >= partition.watermark;
  });
  if (fold_in == nullptr || !wanted || !acted) {
    return absl::OkStatus();
  }
  const uint64_t version = VersionOf(views);
  if (const serving::FoldIn::Memo* const memo = past_ ? nullptr : fold_in->memo().Find(input_.user_key, version)) {
    if (memo->changed) {
      TakeFolded(memo->list);
    }
    return absl::OkStatus();
  }
  if (input_.history == nullptr) {
    stored_.history.Clear();
  }
  TRIBUTARY_RETURN_IF_ERROR(ReadUser(&history_now_, &facts_));
  serving::FoldIn::Memo memo{.user = input_.user_key,
                             .version = version,
                             .changed = fold_in->Seen(stored_.history, history_now_, input_.personal, &fold_in_),
                             .forgotten_until_unix_ms = history_now_.forgotten_until_unix_ms()};
  if (memo.changed && !past_ && fold_ins_ != nullptr && !fold_in->at_once(fold_in_)) {
    fold_in_pending_ = true;
    TakeListOfBefore();   // First: else a quick thread may have put the new one there.
    fold_ins_->Offer(user_id, snapshot_->generation());
    return absl::OkStatus();
  }
  if (memo.changed) {
    memo.list = fold_in->List(input_.personal, &fold_in_);
    folded_ = memo.list;
    TakeFolded(folded_);
  }
  if (!past_) {
    fold_in->memo().Keep(std::move(memo));
  }
  return absl::OkStatus();
}

void MergeRequest::TakeFolded(absl::Span<const ScoredItem> list) {
  input_.personal = list;
  input_.personal_falls = false;   // That is said of the stored one.
}

void MergeRequest::TakeListOfBefore() {
  const std::optional<int64_t> forgotten_until_unix_ms = history_now_.forgotten_until_unix_ms();
  const serving::FoldIn::Memo* const before = snapshot_->fold_in()->memo().FindLast(input_.user_key);
  if (before != nullptr && before->forgotten_until_unix_ms == forgotten_until_unix_ms) {
    if (before->changed) {
      TakeFolded(before->list);
    }
  } else if (stored_.history.forgotten_until_unix_ms() != forgotten_until_unix_ms) {
    input_.personal = {};
  }
}

absl::Span<const Fact> MergeRequest::PastFacts(absl::Span<const Fact> facts) {
  std::vector<Fact>& past = past_facts_.emplace_back();
  std::copy_if(facts.begin(), facts.end(), std::back_inserter(past),
               [&](const Fact& fact) { return fact.event_time_unix_ms <= input_.now_unix_ms; });
  return past;
}

absl::Status MergeRequest::ReadUser(UserHistory* history, std::vector<LiveFact>* facts) const {
  history->Clear();
  if (input_.history != nullptr) {
    *history = *input_.history;
  }
  return ReadLiveFacts(input_.live, *input_.catalogue, history, facts);
}

void MergeRequest::SetFilter(const v1::ItemFilter& filter) {
  const Catalogue& catalogue = *input_.catalogue;
  filter_.only_included_categories = !filter.include_categories().empty();
  NumbersOfCategories(filter.include_categories(), catalogue, &filter_.include_categories);
  NumbersOfCategories(filter.exclude_categories(), catalogue, &filter_.exclude_categories);
  filter_.only_included_labels = !filter.include_labels().empty();
  NumbersOfLabels(filter.include_labels(), catalogue, &filter_.include_labels);
  NumbersOfLabels(filter.exclude_labels(), catalogue, &filter_.exclude_labels);
  NumbersOf(filter.exclude_items(), &filter_.exclude_items);
  filter_.min_price = filter.has_min_price() ? std::optional(filter.min_price()) : std::nullopt;
  filter_.max_price = filter.has_max_price() ? std::optional(filter.max_price()) : std::nullopt;
  input_.filter = &filter_;
}

void MergeRequest::SetBasket(const v1::RequestContext& context) {
  NumbersOf(context.basket(), &basket_);
  input_.basket = basket_;
  if (!context.current_item().empty()) {
    input_.current_item = input_.catalogue->Find(context.current_item());
  }
}

void MergeRequest::SetRecentItems(const Strings& item_ids) {
  NumbersOf(item_ids, &recent_items_);
  input_.recent_items = recent_items_;
}

void MergeRequest::SetSimilarTo(const Strings& item_ids) {
  NumbersOf(item_ids, &similar_to_);
  input_.similar_to = similar_to_;
}

void MergeRequest::SetShown(std::vector<ItemNumber> shown) {
  shown_ = std::move(shown);
  input_.shown = shown_;
}

void MergeRequest::NumbersOf(const Strings& item_ids, std::vector<ItemNumber>* numbers) const {
  numbers->clear();
  for (const std::string& item_id : item_ids) {
    if (const std::optional<ItemNumber> number = input_.catalogue->Find(item_id)) {
      numbers->push_back(*number);
    }
  }
}

void MergeRequest::WriteItems(absl::Time now, google::protobuf::RepeatedPtrField<v1::RecommendedItem>* items) const {
  items->Reserve(static_cast<int>(result_.items.size()));
  for (const MergedItem& merged : result_.items) {
    __builtin_prefetch(input_.catalogue->Id(merged.item).data());   // They lie anywhere.
  }
  for (const MergedItem& merged : result_.items) {
    WriteItem(merged, now, items->Add());
  }
}

void MergeRequest::WriteItem(const MergedItem& merged, absl::Time now, v1::RecommendedItem* item) const {
  const Catalogue& catalogue = *input_.catalogue;
  SetText(catalogue.Id(merged.item), item->mutable_item_id());
  item->set_score(merged.score);
  const absl::Span<const MergeReason> reasons = result_.ReasonsOf(merged);
  item->mutable_reasons()->Reserve(static_cast<int>(reasons.size()));
  for (const MergeReason& merge_reason : reasons) {
    v1::Reason* reason = item->add_reasons();
    reason->set_part(merge_reason.part);
    switch (merge_reason.kind) {
      case MergeReason::Kind::kSource:
        reason->set_source(static_cast<v1::Source>(merge_reason.source));
        break;
      case MergeReason::Kind::kCategoryBoost: {
        v1::CategoryBoost* boost = reason->mutable_category_boost();
        SetText(catalogue.CategoryName(merge_reason.category), boost->mutable_category());
        WriteCause(merge_reason.cause, now, boost->mutable_cause());
        boost->set_causes(merge_reason.causes);
        break;
      }
      case MergeReason::Kind::kLabelBoost: {
        v1::LabelBoost* boost = reason->mutable_label_boost();
        SetText(catalogue.LabelName(merge_reason.label), boost->mutable_label());
        WriteCause(merge_reason.cause, now, boost->mutable_cause());
        boost->set_causes(merge_reason.causes);
        break;
      }
      case MergeReason::Kind::kRule:
        reason->mutable_rule()->set_rule_id(input_.rules->rule(merge_reason.rule).rule_id);
        break;
      case MergeReason::Kind::kFatigue:
        WriteCause(merge_reason.cause, now, reason->mutable_fatigue()->mutable_cause());
        reason->mutable_fatigue()->set_impressions(merge_reason.causes);
        break;
    }
  }
}

}  // namespace tributary::serving
