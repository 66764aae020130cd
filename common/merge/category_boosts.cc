#include "common/merge/category_boosts.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace tributary {
namespace {

// A low rating acts as a dislike, unless ratings have an effect of their own.
const MergePolicy::CategoryEffect* EffectOf(const Fact& fact, const MergePolicy& policy) {
  const MergePolicy::CategoryEffect* effect = policy.EffectOf(fact.kind);
  if (effect == nullptr && fact.kind == v1::RATING && fact.value_micros <= policy.dislike_rating_at_most_micros) {
    return policy.EffectOf(v1::DISLIKE);
  }
  return effect;
}

}  // namespace

void CategoryBoosts::Compute(absl::Span<const LiveFact> facts, const Catalogue& catalogue, const MergePolicy& policy,
                             int64_t now_unix_ms) {
  Clear(catalogue);
  cap_ = policy.max_category_boost;
  for (const LiveFact& live : facts) {
    const MergePolicy::CategoryEffect* effect = EffectOf(*live.fact, policy);
    if (effect == nullptr) {
      continue;
    }
    const int64_t age_ms = std::max<int64_t>(0, now_unix_ms - live.fact->event_time_unix_ms);
    const double left = std::exp2(-static_cast<double>(age_ms) / static_cast<double>(effect->half_life_ms));
    if (left < kFaded) {
      continue;
    }
    if (live.item) {
      for (const CategoryNumber category : catalogue.Categories(*live.item)) {
        Add(category, effect->strength * left, live);
      }
    } else if (live.fact->item_id.empty() && (live.fact->kind == v1::PURCHASE || live.fact->kind == v1::RETURN)) {
      // Of an event without an item, the fact's text is the category that it named.
      if (const std::optional<CategoryNumber> category = catalogue.FindCategory(live.fact->text)) {
        Add(*category, effect->strength * left, live);
      }
    }
  }
}

void CategoryBoosts::Add(CategoryNumber category, double effect, const LiveFact& live) {
  Total& total = totals_[Value(category)];
  total.sum += effect;
  ++total.causes;
  // Of equally strong ones the later, which comes later here.
  if (std::abs(effect) >= total.strongest) {
    total.strongest = std::abs(effect);
    total.cause = {.type = live.fact->kind,
                   .position = live.position,
                   .event_time_unix_ms = live.fact->event_time_unix_ms};
  }
}

double CategoryBoosts::Factor(double sum) const {
  const double cut = std::clamp(sum, -cap_, cap_);
  return cut >= 0 ? 1 + cut : 1 / (1 - cut);
}

double CategoryBoosts::FactorOf(absl::Span<const CategoryNumber> categories) const {
  double sum = 0;
  for (const CategoryNumber category : categories) {
    if (const Total* total = totals_.Find(Value(category))) {
      sum += total->sum;
    }
  }
  return Factor(sum);
}

void CategoryBoosts::AppendReasons(absl::Span<const CategoryNumber> categories, const Catalogue& catalogue,
                                   std::vector<MergeReason>* reasons) {
  sorted_.clear();
  for (const CategoryNumber category : categories) {
    if (const Total* total = totals_.Find(Value(category))) {
      sorted_.push_back(total);
    }
  }
  std::sort(sorted_.begin(), sorted_.end(), [&](const Total* a, const Total* b) {
    if (std::abs(a->sum) != std::abs(b->sum)) {
      return std::abs(a->sum) > std::abs(b->sum);
    }
    return catalogue.CategoryName(CategoryNumber{a->number}) < catalogue.CategoryName(CategoryNumber{b->number});
  });
  // Each category's part is what it adds to the factor of those before it, so that the parts multiply to the whole.
  double sum = 0;
  double before = 1;
  for (const Total* total : sorted_) {
    sum += total->sum;
    const double after = Factor(sum);
    reasons->push_back({.kind = MergeReason::Kind::kCategoryBoost,
                        .category = CategoryNumber{total->number},
                        .cause = total->cause,
                        .causes = total->causes,
                        .part = static_cast<float>(after / before)});
    before = after;
  }
}

}  // namespace tributary
