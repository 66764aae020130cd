#ifndef TRIBUTARY_COMMON_EVENT_EVENT_H_
#define TRIBUTARY_COMMON_EVENT_EVENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "tributary/v1/dead_letter.pb.h"
#include "tributary/v1/event.pb.h"

namespace tributary {

using v1::EventType;
using v1::RejectCause;

// An event that passed validation. Amounts are fixed-point from here on: sums are exact.
struct Event {
  EventType type = EventType::EVENT_TYPE_UNSPECIFIED;
  std::string user_id;
  int64_t event_time_unix_ms = 0;
  std::string item_id;        // Empty: none.
  std::string page;
  std::string category;
  std::string query;
  std::string session_id;
  uint64_t event_id_hash = 0; // xxh64 of the event id; 0: it has none. An id that hashes to 0 counts as 1.
  int64_t value_micros = 0;   // Millionths, >= 0. A rating too: 4.5 is 4,500,000.
  int64_t quantity_micros = 0;  // Millionths, >= 0; 1,000,000 where the type has units and none was given.
  bool anonymous = false;
  std::vector<std::pair<std::string, std::string>> attributes;  // Sorted by key.
  std::string experiment_bucket;
};

// Why an event was refused.
struct Rejection {
  RejectCause cause = RejectCause::REJECT_CAUSE_UNSPECIFIED;
  std::string field;          // In proto3 names; empty: none in particular.
  std::string reason;         // One line for people.
};

// The limits that decide acceptance. They belong to the format version: changing one means a rebuild.
inline constexpr size_t kMaxEventBytes = 64 * 1024;
inline constexpr size_t kMaxIdBytes = 256;
inline constexpr size_t kMaxTextBytes = 1024;
inline constexpr size_t kMaxAttributes = 32;
inline constexpr size_t kMaxAttributeKeyBytes = 64;
inline constexpr size_t kMaxBucketBytes = 64;
inline constexpr double kMaxAmount = 9e12;
inline constexpr int64_t kMaxFutureMs = 24LL * 3600 * 1000;              // Ahead of the record time.
inline constexpr int64_t kMinEventTimeUnixMs = 315532800000;             // 1980-01-01.
inline constexpr int64_t kDedupWindowMs = 24LL * 3600 * 1000;            // Of record time.
inline constexpr size_t kDedupIds = 64;                                  // A user and partition.
inline constexpr int64_t kSessionGapMs = 30LL * 60 * 1000;               // Of event time.

// Reads the value of a record of `events` (protobuf, or proto3 JSON when the first byte is `{`) and validates it.
// `record_time_unix_ms` is the running maximum of the partition's broker append time, this record included.
// A pure function: the same record after the same log gives the same answer anywhere, at any time.
std::variant<Event, Rejection> ParseEvent(absl::string_view value, int64_t record_time_unix_ms);

// The same for a message that was read already.
std::variant<Event, Rejection> ValidateEvent(const v1::Event& message, int64_t record_time_unix_ms);

// The message that ValidateEvent would turn back into `event`, without its event id (only the hash is known).
v1::Event ToProto(const Event& event);

// xxh64 of an event id, never 0 (0 says "no id").
uint64_t HashEventId(absl::string_view event_id);

// True for the types that count units, so that a missing quantity means one.
bool HasUnits(EventType type);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_EVENT_H_
