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
  b_.seeds.clear();
  b_.session_slots.clear();
  b_.candidates.clear();
  if (absl::Status status = ReadUser(); !status.ok()) {
    return status;
  }
  result_.unknown_user = in_.kind == MergeKind::kRecommend && in_.personal.empty() && history_->empty() &&
                         b_.facts.empty() && in_.recent_items.empty();

  // Without live facts few pages look further into the list than this.
  const size_t looked_at = b_.facts.empty() ? 2 * static_cast<size_t>(in_.limit) : in_.personal.size();
  Prefetch(in_.personal.subspan(0, looked_at), /*records=*/true);
  MarkHistory();
  Exclude(in_.basket);
  Exclude(in_.shown);
  Exclude(in_.similar_to);
  if (in_.current_item) {
    Exclude(absl::MakeConstSpan(&*in_.current_item, 1));
  }
  if (in_.filter != nullptr) {
    Exclude(in_.filter->exclude_items);
  }

  switch (in_.kind) {
    case MergeKind::kRecommend:
      b_.boosts.Compute(b_.facts, catalogue_, policy_, in_.now_unix_ms);
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
  }
  const std::vector<Slot>& slots = b_.slots.entries();
  for (uint32_t index = 0; index < slots.size(); ++index) {
    if (slots[index].personal || slots[index].session) {
      Admit(index);
    }
  }
  if (in_.kind == MergeKind::kRecommend) {
    if (in_.rules != nullptr) {
      AddPins();
    }
    if (in_.views != nullptr) {
      AddLadder();
    }
  }
  Rank();
  Emit();
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
  const Decision* trade = nullptr;
  const Decision* opinion = nullptr;
  bool seen = false;
  const auto keep_latest = [](const Decision*& latest, const Decision& decision) {
    if (latest == nullptr || latest->key < decision.key) {
      latest = &decision;
    }
  };
  for (const Decision& decision : decisions) {
    switch (decision.kind) {
      case v1::PURCHASE:
        seen = true;
        keep_latest(trade, decision);
        break;
      case v1::RETURN:
        keep_latest(trade, decision);
        break;
      case v1::LIKE:
      case v1::RATING:
        seen = true;
        keep_latest(opinion, decision);
        break;
      case v1::DISLIKE:
        keep_latest(opinion, decision);
        break;
      case v1::VIEW:
      case v1::CLICK:
        seen = true;
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
  if (owned || rejected || (seen && in_.exclude_seen)) {
    Slot& slot = SlotOf(decisions.front().item);
    slot.excluded = true;
    slot.rejected = rejected;
  }
}

void Merger::Exclude(absl::Span<const ItemNumber> items) {
  for (const ItemNumber item : items) {
    if (Known(item)) {
      SlotOf(item).excluded = true;
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

// A heap gives the best first and sorts no further than the page.
void Merger::Emit() {
  std::vector<Ranked>& heap = b_.ranked;
  const auto comes_later = [this](const Ranked& a, const Ranked& b) {
    if (a.order != b.order) {
      return a.order < b.order;
    }
    return catalogue_.Id(b_.candidates[a.candidate].item) > catalogue_.Id(b_.candidates[b.candidate].item);
  };
  std::make_heap(heap.begin(), heap.end(), comes_later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    const Candidate& candidate = b_.candidates[heap.back().candidate];
    heap.pop_back();
    if (in_.max_per_category > 0) {
      const absl::Span<const CategoryNumber> categories = catalogue_.Categories(candidate.item);
      if (!categories.empty() && ++b_.categories[Value(categories.front())].shown > in_.max_per_category &&
          candidate.pin < 0) {
        // The next page counts anew: what the cap keeps out here is for there.
        result_.more = true;
        continue;
      }
    }
    if (static_cast<int>(result_.items.size()) == in_.limit) {
      result_.more = true;
      break;
    }
    EmitItem(candidate);
  }
  result_.list_short = static_cast<int>(result_.items.size()) < in_.limit;
}

void Merger::EmitItem(const Candidate& candidate) {
  MergedItem& item = result_.items.emplace_back();
  item.item = candidate.item;
  item.score = best_ > 0 ? static_cast<float>(std::floor(candidate.score * (kRankSteps / best_) + 0.5) / kRankSteps * best_)
                         : 0;
  item.first_reason = static_cast<uint32_t>(result_.reasons.size());
  if (in_.without_reasons) {
    return;
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
  if (!slot.personal && !slot.session && !slot.fallback) {
    add_source(CandidateSource::kPinned, 0);
  }
  if (!b_.boosts.empty()) {
    b_.boosts.AppendReasons(catalogue_, candidate.item, &result_.reasons);
  }
  if (in_.rules != nullptr) {
    double factor = 1;
    double pin = -1;
    ApplyRules(candidate.item, &factor, &pin, &result_.reasons);
  }
  item.reason_count = static_cast<uint32_t>(result_.reasons.size()) - item.first_reason;
}

}  // namespace tributary
