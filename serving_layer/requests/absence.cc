#include "serving_layer/requests/absence.h"

#include "absl/strings/str_cat.h"
#include "common/event/event.h"

namespace tributary::serving {

v1::WhyNotResponse::Cause CauseOf(Absence absence) {
  switch (absence) {
    case Absence::kNone:
      return v1::WhyNotResponse::SHOWN;
    case Absence::kOwned:
    case Absence::kRejected:
      return v1::WhyNotResponse::SUPPRESSED;
    case Absence::kSeen:
      return v1::WhyNotResponse::SEEN;
    case Absence::kInBasket:
      return v1::WhyNotResponse::IN_BASKET;
    case Absence::kShownBefore:
      return v1::WhyNotResponse::ON_EARLIER_PAGE;
    case Absence::kAskedAbout:
    case Absence::kExcludedItem:
    case Absence::kCategoryNotIncluded:
    case Absence::kCategoryExcluded:
    case Absence::kLabelNotIncluded:
    case Absence::kLabelExcluded:
    case Absence::kPrice:
      return v1::WhyNotResponse::FILTERED;
    case Absence::kDeleted:
      return v1::WhyNotResponse::UNKNOWN_ITEM;
    case Absence::kUnavailable:
      return v1::WhyNotResponse::UNAVAILABLE;
    case Absence::kHidden:
      return v1::WhyNotResponse::HIDDEN_BY_RULE;
    case Absence::kCapped:
      return v1::WhyNotResponse::DIVERSITY_CAP;
    case Absence::kRankedTooLow:
      return v1::WhyNotResponse::RANKED_TOO_LOW;
    case Absence::kNotCandidate:
      return v1::WhyNotResponse::NOT_A_CANDIDATE;
  }
  return v1::WhyNotResponse::CAUSE_UNSPECIFIED;
}

std::string Describe(const MergeExplanation& explanation, const MergeInput& input) {
  const auto place = [&] { return absl::StrCat("place ", explanation.rank, " of ", explanation.candidates); };
  switch (explanation.absence) {
    case Absence::kNone:
      return absl::StrCat("shown at place ", explanation.rank);
    case Absence::kOwned:
      return absl::StrCat("bought, and stays away for ", input.policy->purchase_suppression_ms / (24 * 3'600'000),
                          " days");
    case Absence::kRejected:
      return explanation.cause->type == v1::RATING ? "rated low" : "disliked";
    case Absence::kSeen:
      return "exclude_seen";
    case Absence::kInBasket:
      return "context.basket or context.current_item";
    case Absence::kShownBefore:
      return "shown on a page before";
    case Absence::kAskedAbout:
      return "item_ids";
    case Absence::kExcludedItem:
      return "filter.exclude_items";
    case Absence::kCategoryNotIncluded:
      return "filter.include_categories";
    case Absence::kCategoryExcluded:
      return "filter.exclude_categories";
    case Absence::kLabelNotIncluded:
      return "filter.include_labels";
    case Absence::kLabelExcluded:
      return "filter.exclude_labels";
    case Absence::kPrice:
      return "filter.min_price, filter.max_price";
    case Absence::kDeleted:
      return "not in the catalogue";
    case Absence::kUnavailable:
      return "out of stock, or outside its availability";
    case Absence::kHidden:
      return absl::StrCat("rule ", input.rules->rule(*explanation.rule).rule_id);
    case Absence::kCapped:
      return absl::StrCat(place(), ", past max_per_category of category ",
                          input.catalogue->CategoryName(*explanation.category));
    case Absence::kRankedTooLow:
      return absl::StrCat(place(), ", limit ", input.limit);
    case Absence::kNotCandidate:
      return absl::StrCat("no list that was looked at has it; ", explanation.candidates, " candidates");
  }
  return "";
}

}  // namespace tributary::serving
