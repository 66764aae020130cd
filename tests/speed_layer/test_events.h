#ifndef TRIBUTARY_TESTS_SPEED_LAYER_TEST_EVENTS_H_
#define TRIBUTARY_TESTS_SPEED_LAYER_TEST_EVENTS_H_

#include <cstdint>
#include <string>

#include "common/event_log/event_log.h"
#include "tributary/v1/event.pb.h"
#include "tributary/v1/snapshot.pb.h"

namespace tributary::speed {

inline constexpr int64_t kDayMs = 24LL * 3600 * 1000;
inline constexpr int64_t kNowMs = 1'700'000'000'000;  // Where FakeClock starts.

struct TestEvent {
  std::string user = "ada";
  v1::EventType type = v1::VIEW;
  std::string item = "lamp";
  int64_t time_ms = kNowMs;
  std::string id;
};

inline v1::Event Message(const TestEvent& test) {
  v1::Event event;
  event.set_user_id(test.user);
  event.set_type(test.type);
  event.mutable_event_time()->set_seconds(test.time_ms / 1000);
  event.mutable_event_time()->set_nanos(static_cast<int32_t>(test.time_ms % 1000) * 1'000'000);
  event.set_item_id(test.item);
  event.set_event_id(test.id);
  return event;
}

inline std::string Bytes(const TestEvent& test) { return Message(test).SerializeAsString(); }

inline LogRecord EventRecord(int64_t offset, const TestEvent& test, int64_t append_ms = kNowMs) {
  return {.source = {"events", PartitionId{0}},
          .offset = Offset{offset},
          .append_time_unix_ms = append_ms,
          .key = test.user,
          .value = Bytes(test)};
}

// Announces a snapshot with the given watermark for partition 0.
inline v1::SnapshotAnnouncement Announcement(int64_t generation, v1::SnapshotStatus status, int64_t watermark,
                                             int64_t record_time_ms = kNowMs) {
  v1::SnapshotAnnouncement announcement;
  announcement.set_generation(generation);
  announcement.set_status(status);
  v1::PartitionWatermark* mark = announcement.add_watermarks();
  mark->set_partition(0);
  mark->set_watermark(watermark);
  mark->set_record_time_unix_ms(record_time_ms);
  return announcement;
}

}  // namespace tributary::speed

#endif  // TRIBUTARY_TESTS_SPEED_LAYER_TEST_EVENTS_H_
