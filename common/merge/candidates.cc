// Where the candidates of a merge come from, and which of them may be shown.
#include <algorithm>
#include <cmath>

#include "common/merge/merger.h"

namespace tributary {
namespace {

// Neighbours of the latest items of the session count; the k-th latest with weight (kSessionSeeds - k) / kSessionSeeds, the
// linear decay of vector multiplication session kNN.
constexpr size_t kSessionSeeds = 10;
constexpr size_t kSessionCandidates = 100;
constexpr size_t kSessionListLength = 2 * kSessionCandidates;   // Some of it must not be shown.
constexpr int64_t kSessionKeptMs = 24LL * 3600 * 1000;
constexpr size_t kLadderCategories = 5;
// The ladder stops at the end of a batch, not in its middle: boosts and rules can lift items that are not at the top.
constexpr size_t kLadderBatch = 200;
constexpr double kLowerStep = 0.5;      // A lower step of the ladder counts half.

double BestOf(absl::Span<const ScoredItem> list) {
  double best = 0;
  for (const ScoredItem& scored : list) {
    best = std::max(best, static_cast<double>(scored.score));
  }
  return best;
}

template <typename Number>
bool Intersect(absl::Span<const Number> a, const std::vector<Number>& b) {
  return std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

}  // namespace

void Merger::Prefetch(absl::Span<const ScoredItem> list, bool records) const {
  for (const ScoredItem& scored : list) {
    if (Known(scored.item)) {
      b_.slots.Prefetch(Value(scored.item));
      if (records) {
        catalogue_.Prefetch(scored.item);
      }
    }
  }
}

// True when nothing but the list decides the order of its items: no factor is other than 1, and no other source has any.
// Who asks why an item is not there wants its place far down the list, too.
bool Merger::PersonalIsRanking() const {
  return in_.kind == MergeKind::kRecommend && !in_.explain && b_.session_slots.empty() && b_.boosts.empty() &&
         b_.fatigue.empty() && rules_ == nullptr &&
         (in_.personal_falls ||
          std::is_sorted(in_.personal.begin(), in_.personal.end(),
                         [](const ScoredItem& a, const ScoredItem& b) { return a.score > b.score; }));
}

void Merger::AddPersonal() {
  const double best = in_.personal_falls && !in_.personal.empty() ? in_.personal.front().score : BestOf(in_.personal);
  const double weight = in_.newcomer ? in_.weights.newcomer : in_.weights.personal;
  if (best <= 0 || weight <= 0) {
    return;
  }
  const double scale = weight / best;
  // Most users have no live facts: their page is the head of the list, and the rest is not even looked at. Items that
  // round to the same rank as the last one of the page still count, since their ids decide.
  const bool is_ranking = PersonalIsRanking();
  const double same_rank = 2 * weight / kRankSteps;
  double last = 0;
  for (const ScoredItem& scored : in_.personal) {
    if (!Known(scored.item)) {
      continue;
    }
    const double part = scale * scored.score;
    if (is_ranking && Enough() && part < last - same_rank) {
      break;
    }
    Slot& slot = SlotOf(scored.item);
    slot.personal = true;
    slot.personal_part = std::max(slot.personal_part, part);
    if (is_ranking) {
      if (!Enough()) {
        last = part;
      }
      Admit(IndexOf(slot));
    }
  }
}

// The latest first: what the request shows now, then what the user did.
void Merger::CollectSeeds() {
  b_.seeds.clear();
  const auto add = [&](ItemNumber item) {
    if (b_.seeds.size() >= kSessionSeeds || !Known(item)) {
      return;
    }
    Slot& slot = SlotOf(item);
    if (!slot.seed && !slot.rejected) {
      slot.seed = true;
      b_.seeds.push_back(item);
    }
  };
  if (in_.current_item) {
    add(*in_.current_item);
  }
  for (size_t i = in_.basket.size(); i-- > 0;) {
    add(in_.basket[i]);
  }
  for (size_t i = in_.recent_items.size(); i-- > 0;) {
    add(in_.recent_items[i]);
  }
  for (size_t i = b_.facts.size(); i-- > 0;) {
    const LiveFact& live = b_.facts[i];
    if (live.above_watermark && live.item && IsSessionKind(live.fact->kind)) {
      add(*live.item);
    }
  }
}

void Merger::AddNeighbours(absl::Span<const ItemNumber> seeds, bool weigh_by_recency) {
  for (size_t k = 0; k < seeds.size(); ++k) {
    const double weight = weigh_by_recency ? static_cast<double>(kSessionSeeds - k) / kSessionSeeds : 1.0;
    const absl::Span<const ScoredItem> neighbours = in_.views->Neighbours(seeds[k]);
    Prefetch(neighbours, /*records=*/false);
    for (const ScoredItem& scored : neighbours) {
      if (!Known(scored.item)) {
        continue;
      }
      AddSessionPart(scored.item, weight * scored.score);
    }
  }
}

void Merger::AddSessionPart(ItemNumber item, double part) {
  Slot& slot = SlotOf(item);
  if (!slot.session) {
    slot.session = true;
    b_.session_slots.push_back(IndexOf(slot));
  }
  slot.session_part += part;
}

// By event time alone, whichever side of W: a swap does not end a session.
int64_t Merger::CollectSession() {
  b_.session.clear();
  const auto add = [&](ItemNumber item) {
    const Slot* const slot = Known(item) ? b_.slots.Find(Value(item)) : nullptr;
    if (Known(item) && (slot == nullptr || !slot->rejected)) {
      b_.session.push_back(Value(item));
    }
  };
  const LiveFact* latest = nullptr;
  const LiveFact* earliest = nullptr;   // Of the session so far, going back.
  for (size_t i = b_.facts.size(); i-- > 0;) {
    const LiveFact& live = b_.facts[i];
    if (!live.item || !IsSessionKind(live.fact->kind)) {
      continue;
    }
    if (latest == nullptr) {
      if (in_.now_unix_ms - live.fact->event_time_unix_ms > kSessionKeptMs) {
        break;
      }
      latest = earliest = &live;
    } else if (live.fact->session_id != latest->fact->session_id) {
      continue;
    } else if (latest->fact->session_id.empty() &&
               earliest->fact->event_time_unix_ms - live.fact->event_time_unix_ms > kSessionGapMs) {
      break;
    }
    earliest = &live;
    add(*live.item);
  }
  std::reverse(b_.session.begin(), b_.session.end());
  for (const absl::Span<const ItemNumber> items : {in_.recent_items, in_.basket}) {
    for (const ItemNumber item : items) {
      add(item);
    }
  }
  if (in_.current_item) {
    add(*in_.current_item);
  }
  return latest == nullptr ? 0 : latest->fact->event_time_unix_ms;
}

void Merger::AddSessionNeighbours() {
  const int64_t time = CollectSession();
  if (b_.session.empty()) {
    return;
  }
  const SessionQuery query{.items = b_.session,
                           .now_unix_ms = in_.now_unix_ms,
                           .live = in_.live_sessions,
                           .user = in_.user_key,
                           .session_time_unix_ms = time};
  const size_t most = in_.kind == MergeKind::kScore ? catalogue_.size() : kSessionListLength;
  const absl::Span<const ScoredItem> next =
      in_.session_search != nullptr ? in_.session_search->Next(*in_.sessions, query, most, &b_.session_neighbours)
                                    : in_.sessions->Next(query, most, &b_.session_neighbours);
  for (const ScoredItem& scored : next) {
    if (Known(scored.item)) {
      AddSessionPart(scored.item, scored.score);
    }
  }
}

// Keeps the best `most` of those that may be shown; the others lose what the session gave them. The scale is that of the
// best of all, so that it is the same on every page.
void Merger::ChooseSessionCandidates(double weight, size_t most) {
  std::vector<Slot>& slots = b_.slots.entries();
  double best = 0;
  for (const uint32_t index : b_.session_slots) {
    best = std::max(best, slots[index].session_part);
  }
  b_.session_slots.erase(std::remove_if(b_.session_slots.begin(), b_.session_slots.end(),
                                        [&](uint32_t index) {
                                          slots[index].session = !slots[index].excluded();
                                          return slots[index].excluded();
                                        }),
                         b_.session_slots.end());
  if (b_.session_slots.size() > most) {
    std::nth_element(b_.session_slots.begin(), b_.session_slots.begin() + static_cast<ptrdiff_t>(most),
                     b_.session_slots.end(), [&](uint32_t a, uint32_t b) {
                       if (slots[a].session_part != slots[b].session_part) {
                         return slots[a].session_part > slots[b].session_part;
                       }
                       return catalogue_.Id(ItemNumber{slots[a].number}) < catalogue_.Id(ItemNumber{slots[b].number});
                     });
    for (size_t i = most; i < b_.session_slots.size(); ++i) {
      slots[b_.session_slots[i]].session = false;
      slots[b_.session_slots[i]].session_part = 0;
    }
    b_.session_slots.resize(most);
  }
  const double scale = best > 0 ? weight / best : 0;
  for (const uint32_t index : b_.session_slots) {
    catalogue_.Prefetch(ItemNumber{slots[index].number});
    slots[index].session_part *= scale;
  }
}

void Merger::AddSession() {
  CollectSeeds();
  if (in_.sessions != nullptr) {
    AddSessionNeighbours();
  }
  if (b_.session_slots.empty() && in_.views != nullptr) {
    AddNeighbours(b_.seeds, /*weigh_by_recency=*/true);
  }
  ChooseSessionCandidates(in_.weights.session,
                          in_.kind == MergeKind::kScore ? b_.session_slots.size() : kSessionCandidates);
}

// Popular items tell apart what neither list nor session knows.
void Merger::AddScored() {
  std::vector<uint32_t>& wanted = b_.session_slots;
  wanted.clear();
  for (const ItemNumber item : in_.score_items) {
    if (Known(item)) {
      wanted.push_back(IndexOf(SlotOf(item)));
      b_.slots.entries()[wanted.back()].wanted = true;
    }
  }
  if (in_.views != nullptr) {
    const absl::Span<const ScoredItem> popular = in_.views->Popular();
    const double best = BestOf(popular);
    for (const ScoredItem& scored : popular) {
      Slot* slot = best > 0 && Known(scored.item) ? b_.slots.Find(Value(scored.item)) : nullptr;
      if (slot != nullptr && slot->wanted && !slot->personal && !slot->session) {
        slot->fallback = true;
        slot->fallback_source = CandidateSource::kPopular;
        slot->fallback_part = in_.weights.fallback * kLowerStep * scored.score / best;
      }
    }
  }
  for (const uint32_t index : wanted) {
    Admit(index);
  }
}

void Merger::AddPins() {
  for (const RuleSet::Pin& pin : rules_->pins()) {
    if (Known(pin.item) && rules_->rule(pin.rule).InForce(in_.now_unix_ms, in_.segment)) {
      Slot& slot = SlotOf(pin.item);
      Admit(IndexOf(slot));
    }
  }
}

void Merger::AddLadder() {
  double weight = in_.weights.fallback;
  if (!Enough() && in_.views != nullptr && !in_.segment.empty()) {
    if (const absl::Span<const ScoredItem> list = in_.views->PopularAmong(in_.segment); !list.empty()) {
      AddPopular(list, CandidateSource::kSegmentPopular, weight, kLadderBatch);
      weight *= kLowerStep;
    }
  }
  if (!Enough() && in_.views != nullptr) {
    AddCategoryPopular(weight);
  }
  weight *= kLowerStep;
  if (!Enough() && !in_.trending.empty()) {
    AddPopular(in_.trending, CandidateSource::kTrending, weight, kLadderBatch);
    weight *= kLowerStep;
  }
  if (!Enough() && in_.views != nullptr) {
    AddPopular(in_.views->Popular(), CandidateSource::kPopular, weight, kLadderBatch);
  }
}

void Merger::AddCategoryPopular(double weight) {
  const auto touch = [&](ItemNumber item) {
    if (const Slot* slot = b_.slots.Find(Value(item)); slot != nullptr && slot->rejected) {
      return;
    }
    const absl::Span<const CategoryNumber> categories = catalogue_.Categories(item);
    if (!categories.empty()) {
      b_.categories[Value(categories.front())].touched += 1;
    }
  };
  for (const Decision& decision : history_->decisions()) {
    if (Known(decision.item) && IsSessionKind(decision.kind)) {
      touch(decision.item);
    }
  }
  for (const ItemNumber item : b_.seeds) {
    touch(item);
  }
  b_.ladder.clear();
  for (const CategoryUse& use : b_.categories.entries()) {
    if (use.touched > 0) {
      b_.ladder.push_back(use);
    }
  }
  std::sort(b_.ladder.begin(), b_.ladder.end(), [&](const CategoryUse& a, const CategoryUse& b) {
    if (a.touched != b.touched) {
      return a.touched > b.touched;
    }
    return catalogue_.CategoryName(CategoryNumber{a.number}) < catalogue_.CategoryName(CategoryNumber{b.number});
  });
  if (b_.ladder.size() > kLadderCategories) {
    b_.ladder.resize(kLadderCategories);
  }
  for (const CategoryUse& use : b_.ladder) {
    AddPopular(in_.views->PopularIn(CategoryNumber{use.number}), CandidateSource::kCategoryPopular,
               weight * use.touched / b_.ladder.front().touched, kLadderBatch);
  }
}

void Merger::AddPopular(absl::Span<const ScoredItem> list, CandidateSource source, double weight, size_t batch) {
  const double best = BestOf(list);
  if (best <= 0) {
    return;
  }
  for (size_t i = 0; i < list.size() && (i % batch != 0 || !Enough()); ++i) {
    if (!Known(list[i].item)) {
      continue;
    }
    Slot& slot = SlotOf(list[i].item);
    if (slot.personal || slot.session || slot.fallback) {
      continue;
    }
    slot.fallback = true;
    slot.fallback_source = source;
    slot.fallback_part = weight * list[i].score / best;
    Admit(IndexOf(slot));
  }
}

void Merger::Admit(uint32_t index) {
  Slot& slot = b_.slots.entries()[index];
  if (slot.considered || slot.excluded()) {
    return;
  }
  slot.considered = true;
  const ItemNumber item{slot.number};
  Candidate candidate{.slot = index, .item = item};
  RuleIndex hidden{};
  slot.absence = JudgeItem(item, &candidate.score, &candidate.pin, &hidden);
  if (slot.excluded()) {
    return;
  }
  b_.candidates.push_back(candidate);
  if (in_.max_per_category == 0) {
    ++able_;
    return;
  }
  const absl::Span<const CategoryNumber> categories = catalogue_.Categories(item);
  if (categories.empty() || candidate.pin >= 0 ||
      ++b_.categories[Value(categories.front())].candidates <= in_.max_per_category) {
    ++able_;
  }
}

Absence Merger::JudgeItem(ItemNumber item, double* factor, double* pin, RuleIndex* hidden) const {
  if (!catalogue_.IsAvailable(item, in_.now_unix_ms)) {
    return catalogue_.IsDeleted(item) ? Absence::kDeleted : Absence::kUnavailable;
  }
  if (in_.filter != nullptr) {
    if (const Absence absence = JudgeByFilter(item); absence != Absence::kNone) {
      return absence;
    }
  }
  *factor = b_.boosts.empty() ? 1.0 : b_.boosts.FactorOf(catalogue_, item);
  if (!b_.fatigue.empty()) {
    *factor *= b_.fatigue.FactorOf(item);
  }
  return rules_ != nullptr && !ApplyRules(item, factor, pin, hidden, nullptr) ? Absence::kHidden : Absence::kNone;
}

Absence Merger::JudgeByFilter(ItemNumber item) const {
  const ItemFilter& filter = *in_.filter;
  const absl::Span<const CategoryNumber> categories = catalogue_.Categories(item);
  if (filter.only_included_categories && !Intersect(categories, filter.include_categories)) {
    return Absence::kCategoryNotIncluded;
  }
  if (!filter.exclude_categories.empty() && Intersect(categories, filter.exclude_categories)) {
    return Absence::kCategoryExcluded;
  }
  const absl::Span<const LabelNumber> labels = catalogue_.Labels(item);
  if (filter.only_included_labels && !Intersect(labels, filter.include_labels)) {
    return Absence::kLabelNotIncluded;
  }
  if (!filter.exclude_labels.empty() && Intersect(labels, filter.exclude_labels)) {
    return Absence::kLabelExcluded;
  }
  if (filter.min_price || filter.max_price) {
    const std::optional<double> price = catalogue_.Price(item);
    if (!price || (filter.min_price && *price < *filter.min_price) || (filter.max_price && *price > *filter.max_price)) {
      return Absence::kPrice;
    }
  }
  return Absence::kNone;
}

bool Merger::ApplyRules(absl::Span<const RuleIndex> rules, double* factor, double* pin, RuleIndex* hidden,
                        std::vector<MergeReason>* reasons) const {
  for (const RuleIndex index : rules) {
    const RuleSet::Rule& rule = rules_->rule(index);
    if (!rule.InForce(in_.now_unix_ms, in_.segment)) {
      continue;
    }
    if (rule.action == v1::HIDE) {
      *hidden = index;
      return false;
    }
    if (rule.action == v1::PIN) {
      if (in_.kind != MergeKind::kRecommend) {
        continue;
      }
      *pin = std::max(*pin, rule.strength);
    }
    *factor *= rule.factor;
    if (reasons != nullptr) {
      reasons->push_back(
          {.kind = MergeReason::Kind::kRule, .rule = index, .part = static_cast<float>(rule.factor)});
    }
  }
  return true;
}

bool Merger::ApplyRules(ItemNumber item, double* factor, double* pin, RuleIndex* hidden,
                        std::vector<MergeReason>* reasons) const {
  const RuleSet& rules = *rules_;
  if (!ApplyRules(rules.ForItem(item), factor, pin, hidden, reasons)) {
    return false;
  }
  for (const CategoryNumber category : catalogue_.Categories(item)) {
    if (!ApplyRules(rules.ForCategory(category), factor, pin, hidden, reasons)) {
      return false;
    }
  }
  for (const LabelNumber label : catalogue_.Labels(item)) {
    if (!ApplyRules(rules.ForLabel(label), factor, pin, hidden, reasons)) {
      return false;
    }
  }
  return true;
}

}  // namespace tributary
