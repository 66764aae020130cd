#include <cmath>
#include <variant>

#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include "common/event/event.h"
#include "tests/fuzz/fuzz_target.h"

// ParseEvent over any bytes: what is accepted keeps the limits and survives the way through its message; what is
// refused says why, in text that a dead letter can carry, and nothing writes to the log of the process.
namespace tributary::fuzz {
namespace {

constexpr int64_t kRecordTimeUnixMs = 1700000000000;

void RefuseLog(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  LOG(FATAL) << "protobuf logs: " << message;
}
[[maybe_unused]] const bool kRefusesLog = (google::protobuf::SetLogHandler(&RefuseLog), true);

void CheckAccepted(const Event& event) {
  CHECK(!event.user_id.empty() && event.user_id.size() <= kMaxIdBytes);
  CHECK_LE(event.item_id.size(), kMaxIdBytes);
  CHECK_GE(event.event_time_unix_ms, kMinEventTimeUnixMs);
  CHECK_LE(event.event_time_unix_ms, kRecordTimeUnixMs + kMaxFutureMs);
  CHECK_GE(event.value_micros, 0);
  CHECK_GE(event.quantity_micros, 0);
  CHECK(v1::EventType_IsValid(event.type) && event.type != v1::EVENT_TYPE_UNSPECIFIED);

  const auto again = ParseEvent(ToProto(event).SerializeAsString(), kRecordTimeUnixMs);
  const auto* same = std::get_if<Event>(&again);
  CHECK(same != nullptr) << std::get<Rejection>(again).reason;
  CHECK_EQ(same->event_time_unix_ms, event.event_time_unix_ms);
  CHECK_EQ(same->value_micros, event.value_micros);
  CHECK_EQ(same->quantity_micros, event.quantity_micros);
  CHECK(same->attributes == event.attributes);
  CHECK_EQ(ToProto(*same).ShortDebugString(), ToProto(event).ShortDebugString());
}

void CheckRejected(const Rejection& rejection) {
  CHECK(v1::RejectCause_IsValid(rejection.cause) && rejection.cause != v1::REJECT_CAUSE_UNSPECIFIED);
  CHECK(!rejection.reason.empty());
  CHECK(rejection.reason.find('\n') == std::string::npos) << rejection.reason;
  v1::DeadLetter letter;
  letter.set_field(rejection.field);
  letter.set_reason(rejection.reason);
  CHECK(v1::DeadLetter().ParseFromString(letter.SerializeAsString()));
}

v1::Event FullEvent(v1::EventType type) {
  v1::Event event;
  event.set_user_id("ann");
  event.set_type(type);
  event.mutable_event_time()->set_seconds(kRecordTimeUnixMs / 1000);
  event.mutable_event_time()->set_nanos(5000000);
  event.set_item_id("t\xc3\xa9");
  event.set_page("/p");
  event.set_event_id("e1");
  event.set_session_id("s1");
  event.set_value(4.5);
  event.set_quantity(2);
  event.set_query("tea");
  event.set_category("drinks");
  (*event.mutable_attributes())["store"] = "Wien";
  event.set_anonymous(true);
  event.set_experiment_bucket("b");
  return event;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (int type = v1::EventType_MIN + 1; type <= v1::EventType_MAX; ++type) {
    const v1::Event event = FullEvent(static_cast<v1::EventType>(type));
    seeds.push_back(event.SerializeAsString());
    std::string json;
    CHECK(google::protobuf::util::MessageToJsonString(event, &json).ok());
    seeds.push_back(json);
  }
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view record(reinterpret_cast<const char*>(data), size);
  const auto parsed = tributary::ParseEvent(record, tributary::fuzz::kRecordTimeUnixMs);
  if (const auto* event = std::get_if<tributary::Event>(&parsed)) {
    tributary::fuzz::CheckAccepted(*event);
  } else {
    tributary::fuzz::CheckRejected(std::get<tributary::Rejection>(parsed));
  }
  return 0;
}
