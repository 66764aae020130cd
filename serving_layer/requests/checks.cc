#include "serving_layer/requests/checks.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/context/records.h"

namespace tributary::serving {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

constexpr size_t kMaxTextLength = 1024;

absl::Status Refused(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", why));
}

absl::Status NotBuilt(absl::string_view field) {
  return absl::UnimplementedError(absl::StrCat(field, " is not built yet: leave it unset"));
}

absl::Status CheckLimit(int limit) {
  return limit >= 0 && limit <= kMaxLimit
             ? absl::OkStatus()
             : Refused("limit", absl::StrCat("must be 1 to ", kMaxLimit, ", or 0 for ", kDefaultLimit));
}

absl::Status CheckCount(const Strings& list, int max, absl::string_view field) {
  return list.size() <= max ? absl::OkStatus() : Refused(field, absl::StrCat("has more than ", max, " entries"));
}

absl::Status CheckIds(const Strings& ids, int max, absl::string_view field) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(ids, max, field));
  for (const std::string& id : ids) {
    TRIBUTARY_RETURN_IF_ERROR(ValidateId(id, field));
  }
  return absl::OkStatus();
}

absl::Status CheckText(const std::string& text, absl::string_view field) {
  return text.size() <= kMaxTextLength ? absl::OkStatus()
                                      : Refused(field, absl::StrCat("is longer than ", kMaxTextLength, " bytes"));
}

absl::Status CheckPrice(double price, absl::string_view field) {
  return std::isfinite(price) && price >= 0 ? absl::OkStatus() : Refused(field, "must be finite and not negative");
}

absl::Status CheckFilter(const v1::ItemFilter& filter) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(filter.include_categories(), kMaxListEntries, "filter.include_categories"));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(filter.exclude_categories(), kMaxListEntries, "filter.exclude_categories"));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(filter.include_labels(), kMaxListEntries, "filter.include_labels"));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(filter.exclude_labels(), kMaxListEntries, "filter.exclude_labels"));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount(filter.exclude_items(), kMaxExcludedItems, "filter.exclude_items"));
  if (filter.has_min_price()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckPrice(filter.min_price(), "filter.min_price"));
  }
  if (filter.has_max_price()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckPrice(filter.max_price(), "filter.max_price"));
    if (filter.has_min_price() && filter.min_price() > filter.max_price()) {
      return Refused("filter.max_price", "is below filter.min_price");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Duration MaxWait(const v1::RecommendRequest& request) {
  return absl::Seconds(request.max_wait().seconds()) + absl::Nanoseconds(request.max_wait().nanos());
}

absl::Status Check(const v1::RecommendRequest& request) {
  if (!request.user_id().empty() || request.recent_items().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(ValidateId(request.user_id(), "user_id"));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckLimit(request.limit()));
  if (request.has_filter()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckFilter(request.filter()));
  }
  if (request.has_context()) {
    const v1::RequestContext& context = request.context();
    TRIBUTARY_RETURN_IF_ERROR(CheckIds(context.basket(), kMaxListEntries, "context.basket"));
    if (!context.current_item().empty()) {
      TRIBUTARY_RETURN_IF_ERROR(ValidateId(context.current_item(), "context.current_item"));
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckText(context.page(), "context.page"));
    TRIBUTARY_RETURN_IF_ERROR(CheckText(context.device(), "context.device"));
  }
  if (request.max_per_category() < 0) {
    return Refused("max_per_category", "must not be negative");
  }
  if (request.has_min_freshness()) {
    const v1::EventPosition& position = request.min_freshness().position();
    if (position.partition() < 0 || position.offset() < 0) {
      return Refused("min_freshness.position", "is not one that Publish answered");
    }
  }
  if (request.has_max_wait() && (request.max_wait().seconds() < 0 || request.max_wait().nanos() < 0 ||
                                 MaxWait(request) > kMaxFreshnessWait)) {
    return Refused("max_wait", absl::StrCat("must be 0 to ", absl::FormatDuration(kMaxFreshnessWait)));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckIds(request.recent_items(), kMaxListEntries, "recent_items"));
  if (request.as_of_generation() != 0) {
    return NotBuilt("as_of_generation");
  }
  if (request.has_as_of_time()) {
    return NotBuilt("as_of_time");
  }
  if (!request.experiment_bucket().empty()) {
    return NotBuilt("experiment_bucket");
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::SimilarItemsRequest& request) {
  if (request.item_ids().empty()) {
    return Refused("item_ids", "is required");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckIds(request.item_ids(), kMaxListEntries, "item_ids"));
  TRIBUTARY_RETURN_IF_ERROR(CheckLimit(request.limit()));
  if (!request.user_id().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(ValidateId(request.user_id(), "user_id"));
  }
  return CheckFilter(request.filter());
}

absl::Status Check(const v1::PopularRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.category(), "category"));
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.segment(), "segment"));
  if (!request.category().empty() && !request.segment().empty()) {
    return Refused("segment", "goes with no category: use filter.include_categories");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckLimit(request.limit()));
  return CheckFilter(request.filter());
}

absl::Status Check(const v1::TotalsRequest& request) {
  if (!v1::Measure_IsValid(request.measure()) || request.measure() == v1::MEASURE_UNSPECIFIED) {
    return Refused("measure", "is required and must be one of the named values");
  }
  if (request.measure() == v1::OVERALL) {
    return request.keys().empty() ? absl::OkStatus() : Refused("keys", "must be empty with OVERALL");
  }
  if (request.keys().empty()) {
    return Refused("keys", "is required");
  }
  return CheckCount(request.keys(), kMaxTotalsKeys, "keys");
}

}  // namespace tributary::serving
