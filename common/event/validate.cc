#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "common/event/event_fields.h"
#include "common/event/utf8.h"

namespace tributary {
namespace {

using MaybeRejection = std::optional<Rejection>;

constexpr double kMaxRating = 10;
constexpr int64_t kMaxTimestampSeconds = 253402300799;  // End of the year 9999, as Timestamp says.
constexpr int64_t kMinTimestampSeconds = -62135596800;  // Begin of the year 1.
constexpr int32_t kMaxTimestampNanos = 999999999;

Rejection Reject(RejectCause cause, absl::string_view field, std::string reason) {
  return Rejection{cause, std::string(field), std::move(reason)};
}

Rejection Missing(absl::string_view field, absl::string_view why) {
  return Reject(v1::MISSING_FIELD, field, absl::StrCat("required field is not set: field=", field, why));
}

MaybeRejection CheckText(absl::string_view field, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Reject(v1::OVERSIZED, field,
                  absl::StrCat("field too long: field=", field, " bytes=", text.size(), " max=", max_bytes));
  }
  if (!IsPlainText(text) && !IsUtf8(text))
    return Reject(v1::NOT_UTF8, field, absl::StrCat("field is not UTF-8: field=", field));
  return std::nullopt;
}

// C0, DEL and C1 (U+0080 to U+009F, in UTF-8 0xC2 and the code itself).
bool HasControlCharacter(absl::string_view utf8) {
  if (IsPlainText(utf8)) return false;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xa0) return true;
  }
  return false;
}

MaybeRejection CheckTexts(const EventFields& fields) {
  struct Limit {
    absl::string_view field;
    absl::string_view text;
    size_t max_bytes;
    bool is_id;
  };
  const Limit limits[] = {{"user_id", fields.user_id, kMaxIdBytes, true},
                          {"item_id", fields.item_id, kMaxIdBytes, true},
                          {"event_id", fields.event_id, kMaxIdBytes, true},
                          {"session_id", fields.session_id, kMaxIdBytes, true},
                          {"page", fields.page, kMaxTextBytes, false},
                          {"query", fields.query, kMaxTextBytes, false},
                          {"category", fields.category, kMaxIdBytes, false},
                          {"experiment_bucket", fields.experiment_bucket, kMaxBucketBytes, false}};
  for (const Limit& limit : limits) {
    if (limit.text.empty()) continue;
    if (MaybeRejection rejection = CheckText(limit.field, limit.text, limit.max_bytes)) return rejection;
    if (limit.is_id && HasControlCharacter(limit.text)) {
      return Reject(v1::CONTROL_CHARACTER, limit.field,
                    absl::StrCat("control character in an id: field=", limit.field));
    }
  }
  if (fields.attributes.size() > kMaxAttributes) {
    return Reject(v1::OVERSIZED, "attributes",
                  absl::StrCat("too many attributes: attributes=", fields.attributes.size(), " max=", kMaxAttributes));
  }
  // A map has no order of its own: the smallest bad key decides, so that the answer is always the same.
  const absl::string_view* bad_key = nullptr;
  MaybeRejection worst;
  for (const auto& [key, value] : fields.attributes) {
    MaybeRejection rejection = CheckText("attributes", key, kMaxAttributeKeyBytes);
    if (!rejection) rejection = CheckText("attributes", value, kMaxTextBytes);
    if (rejection && (bad_key == nullptr || key < *bad_key)) {
      bad_key = &key;
      worst = std::move(rejection);
    }
  }
  return worst;
}

MaybeRejection CheckType(int type) {
  if (type == v1::EVENT_TYPE_UNSPECIFIED) return Missing("type", "");
  if (!v1::EventType_IsValid(type)) {
    return Reject(v1::UNKNOWN_TYPE, "type", absl::StrCat("unknown event type: type=", type));
  }
  return std::nullopt;
}

MaybeRejection CheckRequired(const EventFields& fields) {
  const auto missing = [&fields](absl::string_view field, absl::string_view alternative) {
    return Missing(field, absl::StrCat(alternative, " type=", v1::EventType_Name(static_cast<EventType>(fields.type))));
  };
  switch (fields.type) {
    case v1::IMPRESSION:
    case v1::ADD_TO_CART:
    case v1::LIKE:
    case v1::DISLIKE:
      if (fields.item_id.empty()) return missing("item_id", "");
      break;
    case v1::RATING:
      if (fields.item_id.empty()) return missing("item_id", "");
      if (!fields.value) return missing("value", "");
      break;
    case v1::VIEW:
    case v1::CLICK:
      if (fields.item_id.empty() && fields.page.empty()) return missing("item_id", " (or page)");
      break;
    case v1::PURCHASE:
    case v1::RETURN:
      if (fields.item_id.empty() && fields.category.empty()) return missing("item_id", " (or category)");
      break;
    case v1::SEARCH:
      if (fields.query.empty()) return missing("query", "");
      break;
    default:
      break;
  }
  return std::nullopt;
}

MaybeRejection CheckTime(const EventFields& fields, int64_t record_time_unix_ms, int64_t* unix_ms) {
  const int32_t nanos = fields.event_time_nanos;
  if (nanos < 0 || nanos > kMaxTimestampNanos) {
    return Reject(v1::BAD_VALUE, "event_time", absl::StrCat("nanoseconds out of range: nanos=", nanos));
  }
  const int64_t seconds = std::clamp(fields.event_time_seconds, kMinTimestampSeconds, kMaxTimestampSeconds);
  *unix_ms = seconds * 1000 + nanos / 1000000;
  if (*unix_ms < kMinEventTimeUnixMs) {
    return Reject(v1::TIME_IN_PAST, "event_time",
                  absl::StrCat("event time before 1980: event_time_unix_ms=", *unix_ms));
  }
  // Not record time + 24 h, which could overflow for a record time that is itself absurd.
  if (*unix_ms - kMaxFutureMs > record_time_unix_ms) {
    return Reject(v1::TIME_IN_FUTURE, "event_time",
                  absl::StrCat("event time more than 24 h ahead of the record time: event_time_unix_ms=", *unix_ms,
                               " record_time_unix_ms=", record_time_unix_ms));
  }
  return std::nullopt;
}

// Converts a checked amount to millionths, to the nearest. 9e12 units fit into int64.
MaybeRejection CheckAmount(absl::string_view field, double amount, double max, int64_t* micros) {
  if (!(amount >= 0 && amount <= max)) {  // Also NaN.
    return Reject(v1::BAD_VALUE, field,
                  absl::StrCat("amount out of range: field=", field, " value=", amount, " max=", max));
  }
  *micros = std::llround(amount * 1e6);
  return std::nullopt;
}

}  // namespace

std::variant<Event, Rejection> ValidateEvent(const v1::Event& message, int64_t record_time_unix_ms) {
  return Validate(FieldsOf(message), record_time_unix_ms);
}

std::variant<Event, Rejection> Validate(const EventFields& fields, int64_t record_time_unix_ms) {
  std::variant<Event, Rejection> result;
  Event& event = std::get<Event>(result);
  if (fields.user_id.empty()) return Missing("user_id", "");
  if (MaybeRejection rejection = CheckType(fields.type)) return *std::move(rejection);
  if (!fields.has_event_time) return Missing("event_time", "");
  if (MaybeRejection rejection = CheckTexts(fields)) return *std::move(rejection);
  if (MaybeRejection rejection = CheckRequired(fields)) return *std::move(rejection);
  if (MaybeRejection rejection = CheckTime(fields, record_time_unix_ms, &event.event_time_unix_ms)) {
    return *std::move(rejection);
  }
  event.type = static_cast<EventType>(fields.type);
  if (fields.value) {
    const double max = event.type == EventType::RATING ? kMaxRating : kMaxAmount;
    if (MaybeRejection rejection = CheckAmount("value", *fields.value, max, &event.value_micros)) {
      return *std::move(rejection);
    }
  }
  if (fields.quantity) {
    if (MaybeRejection rejection = CheckAmount("quantity", *fields.quantity, kMaxAmount, &event.quantity_micros)) {
      return *std::move(rejection);
    }
  } else if (HasUnits(event.type)) {
    event.quantity_micros = 1000000;
  }
  event.user_id = std::string(fields.user_id);
  event.item_id = std::string(fields.item_id);
  event.page = std::string(fields.page);
  event.category = std::string(fields.category);
  event.query = std::string(fields.query);
  event.session_id = std::string(fields.session_id);
  event.event_id_hash = fields.event_id.empty() ? 0 : HashEventId(fields.event_id);
  event.anonymous = fields.anonymous;
  for (const auto& [key, value] : fields.attributes) event.attributes.emplace_back(key, value);
  std::sort(event.attributes.begin(), event.attributes.end());
  event.experiment_bucket = std::string(fields.experiment_bucket);
  return result;
}

}  // namespace tributary
