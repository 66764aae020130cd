#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_RECORDS_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_RECORDS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tributary/v1/catalogue.pb.h"

// Values of the topics `items`, `users` and `rules`, and the messages of the catalogue service, which writes them: one
// check for both. All functions are pure. Errors: InvalidArgument names the field, in proto3 JSON path form.
namespace tributary::serving {

absl::Status ValidateItem(const v1::Item& item);
absl::Status ValidateUserRecord(const v1::UserRecord& user);
// 1 to 256 bytes of UTF-8 without control characters. `field` names it in the error.
absl::Status ValidateId(absl::string_view id, absl::string_view field);

// Reads and checks a record's value (protobuf, or proto3 JSON when the first byte is `{`; unknown JSON fields are refused
// by name), whose id must be the record's key.
absl::StatusOr<v1::Item> ParseItem(absl::string_view key, absl::string_view value);
absl::StatusOr<v1::UserRecord> ParseUserRecord(absl::string_view key, absl::string_view value);
absl::StatusOr<v1::Rule> ParseRule(absl::string_view key, absl::string_view value);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_RECORDS_H_
