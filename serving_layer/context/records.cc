#include "serving_layer/context/records.h"

#include <cmath>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "common/merge/rule_set.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

constexpr size_t kMaxIdLength = 256;
constexpr size_t kMaxTextLength = 1024;
constexpr int kMaxCategories = 16;
constexpr int kMaxLabels = 64;
constexpr size_t kMaxSegmentBytes = 64;
constexpr size_t kMaxValueBytes = 64 * 1024;

absl::Status Refused(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", why));
}

bool HasControlCharacter(absl::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return true;
    }
  }
  return false;
}

absl::Status ValidateNames(const google::protobuf::RepeatedPtrField<std::string>& names, int max, absl::string_view field) {
  if (names.size() > max) {
    return Refused(field, absl::StrCat("has more than ", max, " entries"));
  }
  for (int i = 0; i < names.size(); ++i) {
    TRIBUTARY_RETURN_IF_ERROR(ValidateId(names[i], absl::StrCat(field, "[", i, "]")));
  }
  return absl::OkStatus();
}

// Reads either form. Protobuf's own parser refuses strings that are not UTF-8, and so does the JSON one.
template <typename Message>
absl::StatusOr<Message> Parse(absl::string_view value) {
  if (value.size() > kMaxValueBytes) {
    return Refused("value", absl::StrCat("is longer than ", kMaxValueBytes, " bytes"));
  }
  Message message;
  if (!value.empty() && value.front() == '{') {
    const auto status = google::protobuf::util::JsonStringToMessage(std::string(value), &message);
    if (!status.ok()) {
      return Refused("value", absl::StrCat("is not readable as JSON: ", std::string(status.message())));
    }
  } else if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Refused("value", "is not readable as protobuf");
  }
  return message;
}

absl::Status SameKey(absl::string_view key, absl::string_view id, absl::string_view field) {
  return key == id ? absl::OkStatus() : Refused(field, "differs from the record's key");
}

}  // namespace

absl::Status ValidateId(absl::string_view id, absl::string_view field) {
  if (id.empty()) {
    return Refused(field, "is required");
  }
  if (id.size() > kMaxIdLength) {
    return Refused(field, absl::StrCat("is longer than ", kMaxIdLength, " bytes"));
  }
  if (HasControlCharacter(id)) {
    return Refused(field, "holds a control character");
  }
  return absl::OkStatus();
}

absl::Status ValidateItem(const v1::Item& item) {
  TRIBUTARY_RETURN_IF_ERROR(ValidateId(item.item_id(), "item_id"));
  if (item.title().size() > kMaxTextLength) {
    return Refused("title", absl::StrCat("is longer than ", kMaxTextLength, " bytes"));
  }
  TRIBUTARY_RETURN_IF_ERROR(ValidateNames(item.categories(), kMaxCategories, "categories"));
  TRIBUTARY_RETURN_IF_ERROR(ValidateNames(item.labels(), kMaxLabels, "labels"));
  if (item.has_price() && !(std::isfinite(item.price()) && item.price() >= 0)) {
    return Refused("price", "must be finite and not negative");
  }
  if (item.has_stock() && item.stock() < 0) {
    return Refused("stock", "must not be negative");
  }
  if (item.has_lead_time() && (item.lead_time().seconds() < 0 || item.lead_time().nanos() < 0)) {
    return Refused("lead_time", "must not be negative");
  }
  return absl::OkStatus();
}

absl::Status ValidateUserRecord(const v1::UserRecord& user) {
  TRIBUTARY_RETURN_IF_ERROR(ValidateId(user.user_id(), "user_id"));
  if (user.segment().size() > kMaxSegmentBytes) {
    return Refused("segment", absl::StrCat("is longer than ", kMaxSegmentBytes, " bytes"));
  }
  if (!v1::Consent_IsValid(user.consent())) {
    return Refused("consent", absl::StrCat("has no value ", static_cast<int>(user.consent())));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Item> ParseItem(absl::string_view key, absl::string_view value) {
  TRIBUTARY_ASSIGN_OR_RETURN(v1::Item item, Parse<v1::Item>(value));
  TRIBUTARY_RETURN_IF_ERROR(ValidateItem(item));
  TRIBUTARY_RETURN_IF_ERROR(SameKey(key, item.item_id(), "item_id"));
  return item;
}

absl::StatusOr<v1::UserRecord> ParseUserRecord(absl::string_view key, absl::string_view value) {
  TRIBUTARY_ASSIGN_OR_RETURN(v1::UserRecord user, Parse<v1::UserRecord>(value));
  TRIBUTARY_RETURN_IF_ERROR(ValidateUserRecord(user));
  TRIBUTARY_RETURN_IF_ERROR(SameKey(key, user.user_id(), "user_id"));
  return user;
}

absl::StatusOr<v1::Rule> ParseRule(absl::string_view key, absl::string_view value) {
  TRIBUTARY_ASSIGN_OR_RETURN(v1::Rule rule, Parse<v1::Rule>(value));
  TRIBUTARY_RETURN_IF_ERROR(ValidateRule(rule));
  TRIBUTARY_RETURN_IF_ERROR(SameKey(key, rule.rule_id(), "rule_id"));
  return rule;
}

}  // namespace tributary::serving
