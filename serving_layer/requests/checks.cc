#include "serving_layer/requests/checks.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "common/status/status_macros.h"
#include "serving_layer/context/records.h"

namespace tributary::serving {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

constexpr size_t kMaxTextLength = 1024;
constexpr int64_t kMaxUnixSeconds = 253'402'300'799;  // The end of the year 9999.

absl::Status Refused(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", why));
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
  if (request.as_of_generation() < 0) {
    return Refused("as_of_generation", "must not be negative");
  }
  if (request.has_as_of_time()) {
    const google::protobuf::Timestamp& time = request.as_of_time();
    if (time.seconds() < 0 || time.seconds() > kMaxUnixSeconds || time.nanos() < 0 || time.nanos() > 999'999'999) {
      return Refused("as_of_time", "must be a time from 1970 to 9999");
    }
  }
  if (request.experiment_bucket().size() > kMaxBucketBytes) {
    return Refused("experiment_bucket", absl::StrCat("is longer than ", kMaxBucketBytes, " bytes"));
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

absl::Status Check(const v1::BatchRecommendRequest& request) {
  if (request.requests().empty()) {
    return Refused("requests", "is required");
  }
  if (request.requests_size() > kMaxBatch) {
    return Refused("requests", absl::StrCat("has more than ", kMaxBatch, " entries"));
  }
  for (int i = 0; i < request.requests_size(); ++i) {
    const v1::RecommendRequest& one = request.requests(i);
    absl::Status status = Check(one);
    if (status.ok() && one.has_max_wait()) {
      status = Refused("max_wait", "must be unset in a batch");
    }
    if (status.ok() && request.as_group()) {
      v1::RecommendRequest others;
      others.set_user_id(one.user_id());
      if (one.user_id().empty()) {
        status = Refused("user_id", "is required with as_group");
      } else if (!one.page_token().empty()) {
        status = Refused("page_token", "must be unset with as_group");
      } else if (i > 0 && one.ByteSizeLong() != others.ByteSizeLong()) {
        status = Refused("user_id", "is all that requests after the first may have with as_group");
      }
    }
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat("requests[", i, "].", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Duration Window(const v1::TrendingRequest& request) {
  return request.has_window() ? absl::Seconds(request.window().seconds()) + absl::Nanoseconds(request.window().nanos())
                              : kDefaultWindow;
}

absl::Status Check(const v1::TrendingRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.segment(), "segment"));
  if (!request.category().empty() && !request.segment().empty()) {
    return Refused("segment", "goes with no category: use filter.include_categories");
  }
  if (Window(request) < kMinWindow || Window(request) > kMaxWindow) {
    return Refused(
        "window", absl::StrCat("must be ", absl::FormatDuration(kMinWindow), " to ", absl::FormatDuration(kMaxWindow)));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.category(), "category"));
  TRIBUTARY_RETURN_IF_ERROR(CheckLimit(request.limit()));
  return CheckFilter(request.filter());
}

absl::Status Check(const v1::LatestRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.category(), "category"));
  TRIBUTARY_RETURN_IF_ERROR(CheckLimit(request.limit()));
  return CheckFilter(request.filter());
}

absl::Status Check(const v1::ScoreRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(ValidateId(request.user_id(), "user_id"));
  if (request.item_ids().empty()) {
    return Refused("item_ids", "is required");
  }
  return CheckIds(request.item_ids(), kMaxScoreItems, "item_ids");
}

absl::Status Check(const v1::RecentlyViewedRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(ValidateId(request.user_id(), "user_id"));
  return CheckLimit(request.limit());
}

absl::Status Check(const v1::GetProfileRequest& request) { return ValidateId(request.user_id(), "user_id"); }

absl::Status Check(const v1::WatchRequest& request) {
  const v1::RecommendRequest& watched = request.request();
  absl::Status status = ValidateId(watched.user_id(), "user_id");
  if (status.ok()) {
    status = Check(watched);
  }
  if (status.ok() && (!watched.page_token().empty() || watched.has_min_freshness() || watched.has_max_wait() ||
                      watched.as_of_generation() != 0 || watched.has_as_of_time())) {
    status = Refused("", "must not have page_token, min_freshness, max_wait, as_of_generation or as_of_time");
  }
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat("request.", status.message()));
}

namespace {

template <typename Request>
absl::StatusOr<v1::RecommendRequest> Explained(const Request& request) {
  TRIBUTARY_RETURN_IF_ERROR(ValidateId(request.item_id(), "item_id"));
  v1::RecommendRequest explained = request.request();
  if (!request.user_id().empty() && !explained.user_id().empty() && request.user_id() != explained.user_id()) {
    return Refused("request.user_id", "differs from user_id");
  }
  if (!request.user_id().empty()) {
    explained.set_user_id(request.user_id());
  }
  explained.set_without_reasons(false);
  if (const absl::Status status = Check(explained); !status.ok()) {
    const bool is_user = explained.user_id() == request.user_id() && !ValidateId(request.user_id(), "").ok();
    return absl::Status(status.code(), absl::StrCat(is_user ? "" : "request.", status.message()));
  }
  return explained;
}

}  // namespace

absl::StatusOr<v1::RecommendRequest> ExplainedRequest(const v1::BecauseRequest& request) { return Explained(request); }
absl::StatusOr<v1::RecommendRequest> ExplainedRequest(const v1::WhyNotRequest& request) { return Explained(request); }

absl::Status Check(const v1::ExperimentRatesRequest& request) {
  if (!request.experiment().empty() && !request.buckets().empty()) {
    return Refused("buckets", "goes with no experiment");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckText(request.experiment(), "experiment"));
  return CheckCount(request.buckets(), kMaxListEntries, "buckets");
}

namespace {

absl::Status CheckMeasure(v1::Measure measure) {
  return v1::Measure_IsValid(measure) && measure != v1::MEASURE_UNSPECIFIED
             ? absl::OkStatus()
             : Refused("measure", "is required and must be one of the named values");
}

absl::Status CheckTime(const google::protobuf::Timestamp& time, absl::string_view field) {
  return time.seconds() >= 0 && time.seconds() <= kMaxUnixSeconds && time.nanos() >= 0 && time.nanos() <= 999'999'999
             ? absl::OkStatus()
             : Refused(field, "must be a time from 1970 to 9999");
}

}  // namespace

absl::Status Check(const v1::WindowsRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(CheckMeasure(request.measure()));
  if ((request.measure() == v1::OVERALL) != request.key().empty()) {
    return Refused("key", request.key().empty() ? "is required" : "must be empty with OVERALL");
  }
  if (!v1::EventType_IsValid(request.type()) || request.type() == v1::EVENT_TYPE_UNSPECIFIED) {
    return Refused("type", "is required and must be one of the named values");
  }
  for (const auto& [field, set] : {std::pair("start", request.has_start()), {"end", request.has_end()}}) {
    if (!set) {
      return Refused(field, "is required");
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckTime(request.start(), "start"));
  TRIBUTARY_RETURN_IF_ERROR(CheckTime(request.end(), "end"));
  const auto time = [](const google::protobuf::Timestamp& t) { return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos()); };
  const absl::Duration span = time(request.end()) - time(request.start());
  return span > absl::ZeroDuration() && span <= kMaxWindowsSpan
             ? absl::OkStatus()
             : Refused("end", absl::StrCat("must be after start, by ", absl::FormatDuration(kMaxWindowsSpan), " at most"));
}

absl::Status Check(const v1::TotalsRequest& request) {
  TRIBUTARY_RETURN_IF_ERROR(CheckMeasure(request.measure()));
  if (request.measure() == v1::OVERALL) {
    return request.keys().empty() ? absl::OkStatus() : Refused("keys", "must be empty with OVERALL");
  }
  if (request.keys().empty()) {
    return Refused("keys", "is required");
  }
  return CheckCount(request.keys(), kMaxTotalsKeys, "keys");
}

}  // namespace tributary::serving
