#ifndef TRIBUTARY_COMMON_EVENT_EVENT_FIELDS_H_
#define TRIBUTARY_COMMON_EVENT_EVENT_FIELDS_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/event/event.h"
#include "tributary/v1/event.pb.h"

// Private to common/event: what a v1::Event says, read either from the message or straight from its bytes.
namespace tributary {

// Borrows the texts.
struct EventFields {
  absl::string_view user_id;
  int type = 0;
  bool has_event_time = false;
  int64_t event_time_seconds = 0;
  int32_t event_time_nanos = 0;
  absl::string_view item_id;
  absl::string_view page;
  absl::string_view event_id;
  absl::string_view session_id;
  std::optional<double> value;
  std::optional<double> quantity;
  absl::string_view query;
  absl::string_view category;
  std::vector<std::pair<absl::string_view, absl::string_view>> attributes;  // In no order, each key once.
  bool anonymous = false;
  absl::string_view experiment_bucket;
};

EventFields FieldsOf(const v1::Event& message);

// The same from the bytes of a message, for all that producers usually write. False: the bytes hold something that only
// the protobuf parser may decide on (fields unknown to this build, fields that repeat, text that is not UTF-8, damage).
bool ReadFields(absl::string_view bytes, EventFields* fields);

std::variant<Event, Rejection> Validate(const EventFields& fields, int64_t record_time_unix_ms);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_EVENT_FIELDS_H_
