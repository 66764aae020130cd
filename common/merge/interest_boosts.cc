#include "common/merge/interest_boosts.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace tributary {
namespace {

constexpr int kMaxSearchWords = 32;

// A low rating acts as a dislike, unless ratings have an effect of their own.
const MergePolicy::CategoryEffect* EffectOf(const Fact& fact, const MergePolicy& policy) {
  const MergePolicy::CategoryEffect* effect = policy.EffectOf(fact.kind);
  if (effect == nullptr && fact.kind == v1::RATING && fact.value_micros <= policy.dislike_rating_at_most_micros) {
    return policy.EffectOf(v1::DISLIKE);
  }
  return effect;
}

}  // namespace

void InterestBoosts::Clear(const Catalogue& catalogue) {
  categories_ = catalogue.category_count();
  labels_ = false;
  totals_.Clear(categories_ + catalogue.label_count());
}

void InterestBoosts::Compute(absl::Span<const LiveFact> facts, const Catalogue& catalogue, const MergePolicy& policy,
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
        Add(Value(category), live, effect->strength * left);
      }
    } else if (live.fact->kind == v1::SEARCH) {
      AddSearch(live, catalogue, effect->strength * left);
    } else if (live.fact->item_id.empty() && (live.fact->kind == v1::PURCHASE || live.fact->kind == v1::RETURN)) {
      // Of an event without an item, the fact's text is the category that it named.
      if (const std::optional<CategoryNumber> category = catalogue.FindCategory(live.fact->text)) {
        Add(Value(*category), live, effect->strength * left);
      }
    }
  }
}

// Each category and label once, however often the query names it.
void InterestBoosts::AddSearch(const LiveFact& live, const Catalogue& catalogue, double effect) {
  named_.clear();
  const absl::string_view query = absl::StripAsciiWhitespace(live.fact->text);
  AddName(query, live, catalogue, effect);
  int words = 0;
  for (const absl::string_view word : absl::StrSplit(query, absl::ByAnyChar(" \t\r\n,;"), absl::SkipEmpty())) {
    if (word.size() == query.size() || ++words > kMaxSearchWords) {
      break;
    }
    AddName(word, live, catalogue, effect);
  }
}

void InterestBoosts::AddName(absl::string_view name, const LiveFact& live, const Catalogue& catalogue, double effect) {
  lower_.assign(name.data(), name.size());
  absl::AsciiStrToLower(&lower_);
  const auto add = [&](uint32_t number) {
    if (std::find(named_.begin(), named_.end(), number) == named_.end()) {
      named_.push_back(number);
      Add(number, live, effect);
    }
  };
  for (const absl::string_view spelling : {name, absl::string_view(lower_)}) {
    if (const std::optional<CategoryNumber> category = catalogue.FindCategory(spelling)) {
      add(Value(*category));
    }
    if (const std::optional<LabelNumber> label = catalogue.FindLabel(spelling)) {
      labels_ = true;
      add(categories_ + Value(*label));
    }
  }
}

void InterestBoosts::Add(uint32_t number, const LiveFact& live, double effect) {
  Total& total = totals_[number];
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

double InterestBoosts::Factor(double sum) const {
  const double cut = std::clamp(sum, -cap_, cap_);
  return cut >= 0 ? 1 + cut : 1 / (1 - cut);
}

template <typename Visit>
void InterestBoosts::ForEach(const Catalogue& catalogue, ItemNumber item, Visit visit) const {
  for (const CategoryNumber category : catalogue.Categories(item)) {
    if (const Total* total = totals_.Find(Value(category))) {
      visit(*total);
    }
  }
  if (!labels_) {
    return;
  }
  for (const LabelNumber label : catalogue.Labels(item)) {
    if (const Total* total = totals_.Find(categories_ + Value(label))) {
      visit(*total);
    }
  }
}

double InterestBoosts::FactorOf(const Catalogue& catalogue, ItemNumber item) const {
  double sum = 0;
  ForEach(catalogue, item, [&](const Total& total) { sum += total.sum; });
  return Factor(sum);
}

absl::string_view InterestBoosts::NameOf(const Catalogue& catalogue, const Total& total) const {
  return total.number < categories_ ? catalogue.CategoryName(CategoryNumber{total.number})
                                    : catalogue.LabelName(LabelNumber{total.number - categories_});
}

void InterestBoosts::AppendReasons(const Catalogue& catalogue, ItemNumber item, std::vector<MergeReason>* reasons) {
  sorted_.clear();
  ForEach(catalogue, item, [&](const Total& total) { sorted_.push_back(&total); });
  std::sort(sorted_.begin(), sorted_.end(), [&](const Total* a, const Total* b) {
    if (std::abs(a->sum) != std::abs(b->sum)) {
      return std::abs(a->sum) > std::abs(b->sum);
    }
    return std::make_tuple(a->number >= categories_, NameOf(catalogue, *a)) <
           std::make_tuple(b->number >= categories_, NameOf(catalogue, *b));
  });
  // Each part is what it adds to the factor of those before it, so that the parts multiply to the whole.
  double sum = 0;
  double before = 1;
  for (const Total* total : sorted_) {
    sum += total->sum;
    const double after = Factor(sum);
    MergeReason reason{.cause = total->cause, .causes = total->causes, .part = static_cast<float>(after / before)};
    if (total->number < categories_) {
      reason.kind = MergeReason::Kind::kCategoryBoost;
      reason.category = CategoryNumber{total->number};
    } else {
      reason.kind = MergeReason::Kind::kLabelBoost;
      reason.label = LabelNumber{total->number - categories_};
    }
    reasons->push_back(reason);
    before = after;
  }
}

}  // namespace tributary
