#include "common/merge/merger.h"

#include <algorithm>
#include <cmath>

namespace tributary {
namespace {

constexpr int64_t kPinned = 2'000'000;      // Above every rounded score.

}  // namespace

absl::Status Merger::Run() {
  b_.slots.Clear(catalogue_.size());
  b_.categories.Clear(catalogue_.category_count());
  b_.boosts.Clear(catalogue_);
  b_.fatigue.Clear();
  b_.seeds.clear();
  b_.session_slots.clear();
  b_.candidates.clear();
  if (absl::Status status = ReadUser(); !status.ok()) {
    return status;
  }
  result_.unknown_user = in_.kind == MergeKind::kRecommend && in_.personal.empty() && history_->empty() &&
                         b_.facts.empty() && in_.recent_items.empty();

  // Without live facts few pages look further into the list than this.
  const size_t looked_at = b_.facts.empty() ? static_cast<size_t>(in_.limit) * 3 / 2 : in_.personal.size();
  Prefetch(in_.personal.subspan(0, looked_at), /*records=*/true);
  MarkHistory();
  Exclude(in_.basket, Absence::kInBasket);
  Exclude(in_.shown, Absence::kShownBefore);
  Exclude(in_.similar_to, Absence::kAskedAbout);
  if (in_.current_item) {
    Exclude(absl::MakeConstSpan(&*in_.current_item, 1), Absence::kInBasket);
  }
  if (in_.filter != nullptr) {
    Exclude(in_.filter->exclude_items, Absence::kExcludedItem);
  }

  switch (in_.kind) {
    case MergeKind::kRecommend:
      b_.boosts.Compute(b_.facts, catalogue_, policy_, in_.now_unix_ms);
      b_.fatigue.Compute(in_.live, *history_, catalogue_, policy_.fatigue, in_.now_unix_ms);
      AddSession();
      AddPersonal();
      break;
    case MergeKind::kSimilar:
      if (in_.views != nullptr) {
        AddNeighbours(in_.similar_to, /*weigh_by_recency=*/false);
        ChooseSessionCandidates(/*weight=*/1, b_.session_slots.size());
      }
      break;
    case MergeKind::kPopular:
      if (in_.views != nullptr) {
        if (in_.popular_in_segment) {
          const absl::Span<const ScoredItem> list = in_.views->PopularAmong(in_.segment);
          AddPopular(list, CandidateSource::kSegmentPopular, /*weight=*/1, list.size());
        } else if (in_.popular_category) {
          const absl::Span<const ScoredItem> list = in_.views->PopularIn(*in_.popular_category);
          AddPopular(list, CandidateSource::kCategoryPopular, /*weight=*/1, list.size());
        } else {
          const absl::Span<const ScoredItem> list = in_.views->Popular();
          AddPopular(list, CandidateSource::kPopular, /*weight=*/1, list.size());
        }
      }
      break;
    case MergeKind::kList:
      AddPopular(in_.list, in_.list_source, /*weight=*/1, in_.list.size());
      break;
    case MergeKind::kScore:
      b_.boosts.Compute(b_.facts, catalogue_, policy_, in_.now_unix_ms);
      b_.fatigue.Compute(in_.live, *history_, catalogue_, policy_.fatigue, in_.now_unix_ms);
      AddSession();
      AddPersonal();
      AddScored();
      break;
  }
  const std::vector<Slot>& slots = b_.slots.entries();
  for (uint32_t index = 0; index < slots.size() && in_.kind != MergeKind::kScore; ++index) {
    if (slots[index].personal || slots[index].session) {
      Admit(index);
    }
  }
  if (in_.kind == MergeKind::kRecommend) {
    if (rules_ != nullptr) {
      AddPins();
    }
    if (in_.views != nullptr || !in_.trending.empty()) {
      AddLadder();
    }
  }
  Rank();
  if (in_.explain) {
    ExplainRank(*in_.explain, &result_.explanation.emplace());
  }
  Emit();
  if (in_.explain) {
    Explain(*in_.explain, &*result_.explanation);
  }
  if (result_.items.empty()) {
    CountAbsent();
  }
  return absl::OkStatus();
}

absl::Status Merger::ReadUser() {
  b_.facts.clear();
  if (in_.live.empty() && in_.history != nullptr) {
    history_ = in_.history;
    return absl::OkStatus();
  }
  history_ = &b_.history;
  if (in_.history != nullptr) {
    b_.history = *in_.history;
  } else {
    b_.history.Clear();
  }
  for (const LivePartition& partition : in_.live) {
    result_.truncated = result_.truncated || partition.truncated;
  }
  return ReadLiveFacts(in_.live, catalogue_, &b_.history, &b_.facts);
}

void Merger::MarkHistory() {
  const absl::Span<const Decision> decisions = history_->decisions();
  for (size_t begin = 0; begin < decisions.size();) {
    size_t end = begin + 1;
    while (end < decisions.size() && decisions[end].item == decisions[begin].item) {
      ++end;
    }
    if (Known(decisions[begin].item)) {
      MarkItem(decisions.subspan(begin, end - begin));
    }
    begin = end;
  }
}

void Merger::MarkItem(absl::Span<const Decision> decisions) {
  const Decision* cause = nullptr;
  if (const Absence absence = JudgeDecisions(decisions, &cause); absence != Absence::kNone) {
    Slot& slot = SlotOf(decisions.front().item);
    slot.absence = absence;
    slot.rejected = absence == Absence::kRejected;
  }
}

Absence Merger::JudgeDecisions(absl::Span<const Decision> decisions, const Decision** cause) const {
  const Decision* trade = nullptr;
  const Decision* opinion = nullptr;
  const Decision* seen = nullptr;
  const auto keep_latest = [](const Decision*& latest, const Decision& decision) {
    if (latest == nullptr || latest->key < decision.key) {
      latest = &decision;
    }
  };
  for (const Decision& decision : decisions) {
    switch (decision.kind) {
      case v1::PURCHASE:
        keep_latest(seen, decision);
        keep_latest(trade, decision);
        break;
      case v1::RETURN:
        keep_latest(trade, decision);
        break;
      case v1::LIKE:
      case v1::RATING:
        keep_latest(seen, decision);
        keep_latest(opinion, decision);
        break;
      case v1::DISLIKE:
        keep_latest(opinion, decision);
        break;
      case v1::VIEW:
      case v1::CLICK:
        keep_latest(seen, decision);
        break;
      default:
        break;
    }
  }
  const bool owned = trade != nullptr && trade->kind == v1::PURCHASE &&
                     in_.now_unix_ms - trade->key.event_time_unix_ms < policy_.purchase_suppression_ms;
  const bool rejected =
      opinion != nullptr &&
      (opinion->kind == v1::DISLIKE ||
       (opinion->kind == v1::RATING && opinion->value_micros <= policy_.dislike_rating_at_most_micros));
  if (rejected) {
    *cause = opinion;
    return Absence::kRejected;
  }
  if (owned) {
    *cause = trade;
    return Absence::kOwned;
  }
  *cause = seen;
  return seen != nullptr && in_.exclude_seen ? Absence::kSeen : Absence::kNone;
}

void Merger::Exclude(absl::Span<const ItemNumber> items, Absence absence) {
  for (const ItemNumber item : items) {
    if (Known(item)) {
      if (Slot& slot = SlotOf(item); !slot.excluded()) {
        slot.absence = absence;
      }
    }
  }
}

void Merger::Rank() {
  const std::vector<Slot>& slots = b_.slots.entries();
  for (Candidate& candidate : b_.candidates) {
    const Slot& slot = slots[candidate.slot];
    candidate.score *= slot.personal_part + slot.session_part + slot.fallback_part;
    best_ = std::max(best_, candidate.score);
  }
  const double scale = best_ > 0 ? kRankSteps / best_ : 0;
  b_.ranked.clear();
  for (uint32_t i = 0; i < b_.candidates.size(); ++i) {
    const Candidate& candidate = b_.candidates[i];
    b_.ranked.push_back({.order = candidate.pin < 0 ? static_cast<int64_t>(candidate.score * scale + 0.5)
                                                    : kPinned + static_cast<int64_t>(candidate.pin * kRankSteps + 0.5),
                         .candidate = i});
  }
}

bool Merger::ComesBefore(const Ranked& a, const Ranked& b) const {
  if (a.order != b.order) {
    return a.order > b.order;
  }
  return catalogue_.Id(b_.candidates[a.candidate].item) < catalogue_.Id(b_.candidates[b.candidate].item);
}

// Most lists come in their order. Of the others a heap gives the best first and sorts no further than the page.
void Merger::Emit() {
  std::vector<Ranked>& ranked = b_.ranked;
  if (std::is_sorted(ranked.begin(), ranked.end(),
                     [this](const Ranked& a, const Ranked& b) { return ComesBefore(a, b); })) {
    for (auto next = ranked.begin(); next != ranked.end() && EmitCandidate(b_.candidates[next->candidate]);) {
      ++next;
    }
  } else {
    const auto comes_later = [this](const Ranked& a, const Ranked& b) { return ComesBefore(b, a); };
    std::make_heap(ranked.begin(), ranked.end(), comes_later);
    for (auto end = ranked.end(); end != ranked.begin(); --end) {
      std::pop_heap(ranked.begin(), end, comes_later);
      if (!EmitCandidate(b_.candidates[(end - 1)->candidate])) {
        break;
      }
    }
  }
  result_.list_short = static_cast<int>(result_.items.size()) < in_.limit;
}

bool Merger::EmitCandidate(const Candidate& candidate) {
  if (in_.max_per_category > 0) {
    const absl::Span<const CategoryNumber> categories = catalogue_.Categories(candidate.item);
    if (!categories.empty() && ++b_.categories[Value(categories.front())].shown > in_.max_per_category &&
        candidate.pin < 0) {
      // The next page counts anew: what the cap keeps out here is for there.
      result_.more = true;
      ++capped_;
      return true;
    }
  }
  if (static_cast<int>(result_.items.size()) == in_.limit) {
    result_.more = true;
    return false;
  }
  result_.items.push_back(ItemOf(candidate));
  return true;
}

MergedItem Merger::ItemOf(const Candidate& candidate) {
  MergedItem item{.item = candidate.item};
  item.score = best_ > 0 ? static_cast<float>(std::floor(candidate.score * (kRankSteps / best_) + 0.5) / kRankSteps * best_)
                         : 0;
  item.first_reason = static_cast<uint32_t>(result_.reasons.size());
  if (in_.without_reasons) {
    return item;
  }
  const Slot& slot = b_.slots.entries()[candidate.slot];
  const auto add_source = [&](CandidateSource source, double part) {
    result_.reasons.push_back(
        {.kind = MergeReason::Kind::kSource, .source = source, .part = static_cast<float>(part)});
  };
  if (slot.personal) {
    add_source(CandidateSource::kPersonal, slot.personal_part);
  }
  if (slot.session) {
    add_source(in_.kind == MergeKind::kSimilar ? CandidateSource::kNeighbour : CandidateSource::kSession,
               slot.session_part);
  }
  if (slot.fallback) {
    add_source(slot.fallback_source, slot.fallback_part);
  }
  if (!slot.personal && !slot.session && !slot.fallback && candidate.pin >= 0) {
    add_source(CandidateSource::kPinned, 0);
  }
  if (!b_.boosts.empty()) {
    b_.boosts.AppendReasons(catalogue_, candidate.item, &result_.reasons);
  }
  b_.fatigue.AppendReason(candidate.item, &result_.reasons);
  if (rules_ != nullptr) {
    double factor = 1;
    double pin = -1;
    RuleIndex hidden{};
    ApplyRules(candidate.item, &factor, &pin, &hidden, &result_.reasons);
  }
  item.reason_count = static_cast<uint32_t>(result_.reasons.size()) - item.first_reason;
  return item;
}

void Merger::ExplainRank(ItemNumber item, MergeExplanation* explanation) {
  explanation->candidates = static_cast<int>(b_.ranked.size());
  const auto is_item = [&](const Ranked& ranked) { return b_.candidates[ranked.candidate].item == item; };
  if (const auto found = std::find_if(b_.ranked.begin(), b_.ranked.end(), is_item); found != b_.ranked.end()) {
    explanation->rank = 1 + static_cast<int>(std::count_if(b_.ranked.begin(), b_.ranked.end(), [&](const Ranked& other) {
                          return ComesBefore(other, *found);
                        }));
    explanation->item = ItemOf(b_.candidates[found->candidate]);
  }
}

void Merger::Explain(ItemNumber item, MergeExplanation* explanation) const {
  if (explanation->item) {
    const std::vector<MergedItem>& shown = result_.items;
    const auto found =
        std::find_if(shown.begin(), shown.end(), [&](const MergedItem& merged) { return merged.item == item; });
    if (found != shown.end()) {
      explanation->rank = 1 + static_cast<int>(found - shown.begin());
      return;
    }
    // Emit goes by rank, and passes over nothing that comes before the last item of the page but for the cap.
    const bool passed_over = explanation->rank <= static_cast<int>(shown.size()) + capped_;
    explanation->absence = passed_over ? Absence::kCapped : Absence::kRankedTooLow;
    if (passed_over) {
      explanation->category = catalogue_.Categories(item).front();
    }
    return;
  }
  const Slot* slot = Known(item) ? b_.slots.Find(Value(item)) : nullptr;
  double factor = 1;
  double pin = -1;
  RuleIndex hidden{};
  explanation->absence = !Known(item)                       ? Absence::kDeleted
                         : slot != nullptr && slot->excluded() ? slot->absence
                                                               : JudgeItem(item, &factor, &pin, &hidden);
  switch (explanation->absence) {
    case Absence::kNone:
      explanation->absence = Absence::kNotCandidate;
      break;
    case Absence::kHidden:
      JudgeItem(item, &factor, &pin, &hidden);
      explanation->rule = hidden;
      break;
    case Absence::kOwned:
    case Absence::kRejected:
    case Absence::kSeen: {
      const Decision* cause = nullptr;
      JudgeDecisions(history_->Find(item), &cause);
      explanation->cause = EventCause{.type = cause->kind,
                                      .position = cause->key.position,
                                      .event_time_unix_ms = cause->key.event_time_unix_ms};
      break;
    }
    default:
      break;
  }
}

void Merger::CountAbsent() {
  for (const Slot& slot : b_.slots.entries()) {
    if (!slot.excluded()) {
      continue;
    }
    const auto found = std::find_if(result_.absent.begin(), result_.absent.end(),
                                    [&](const auto& count) { return count.first == slot.absence; });
    if (found != result_.absent.end()) {
      ++found->second;
    } else {
      result_.absent.emplace_back(slot.absence, 1);
    }
  }
  std::sort(result_.absent.begin(), result_.absent.end());
}

}  // namespace tributary
