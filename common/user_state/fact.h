#ifndef TRIBUTARY_COMMON_USER_STATE_FACT_H_
#define TRIBUTARY_COMMON_USER_STATE_FACT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "tributary/v1/speed.pb.h"

namespace tributary {

// What one accepted event says of a user's state. Plain copy of v1::Fact; the partition is known from where it is kept.
struct Fact {
  EventType kind = EventType::EVENT_TYPE_UNSPECIFIED;
  std::string item_id;
  int64_t event_time_unix_ms = 0;
  Offset offset{};
  int64_t value_micros = 0;
  int64_t quantity_micros = 0;
  std::string session_id;
  std::string text;
  int64_t record_time_unix_ms = 0;
  friend bool operator==(const Fact&, const Fact&) = default;
};

// The same without owning its texts, for where facts pass in numbers.
struct FactView {
  EventType kind = EventType::EVENT_TYPE_UNSPECIFIED;
  absl::string_view item_id;
  int64_t event_time_unix_ms = 0;
  Offset offset{};
  int64_t value_micros = 0;
  int64_t quantity_micros = 0;
  absl::string_view session_id;
  absl::string_view text;
  int64_t record_time_unix_ms = 0;
};

// False for impressions and adjustments of the books.
bool GivesFact(EventType kind);

// The fact of an accepted event; none for impressions and adjustments of the books, and for anonymous users' too
// (their session still lives in facts: anonymous events give facts, only long-term models leave them out).
std::optional<Fact> FactOf(const Event& event, Offset offset, int64_t record_time_unix_ms);
// The same, of the event's own texts, for one of which GivesFact.
FactView FactViewOf(const Event& event, Offset offset, int64_t record_time_unix_ms);

Fact FactOf(const FactView& view);
FactView ViewOf(const v1::Fact& message);

Fact FromProto(const v1::Fact& message);
void ToProto(const Fact& fact, v1::Fact* message);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_FACT_H_
