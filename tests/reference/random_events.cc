#include "tests/reference/random_events.h"

#include <algorithm>
#include <limits>

#include <google/protobuf/util/json_util.h>

namespace tributary::reference {
namespace {

constexpr int64_t kMinute = 60 * 1000;
constexpr int64_t kHour = 60 * kMinute;

void SetTime(int64_t unix_ms, v1::Event* event) {
  event->mutable_event_time()->set_seconds(unix_ms / 1000);
  event->mutable_event_time()->set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1000000);
}

}  // namespace

v1::Event RandomEvents::Event(int64_t user, int64_t now_unix_ms) {
  v1::Event event;
  event.set_user_id("user-" + std::to_string(user));
  event.set_type(OneIn(40) ? v1::FORGET : static_cast<v1::EventType>(1 + Pick(v1::ACCOUNT_CREATED)));
  // On a coarse grid decisions of one item often have the same time, so that the position decides.
  const int64_t grid = OneIn(2) ? 12 * kHour : kMinute;
  SetTime(Time(now_unix_ms) / grid * grid, &event);
  if (!OneIn(8)) event.set_item_id("item-" + std::to_string(Pick(items_)));
  // A user is shown the same over and over.
  if (event.type() == v1::IMPRESSION && !event.item_id().empty()) {
    event.set_item_id("item-" + std::to_string((user + Pick(2)) % items_));
  }
  if (OneIn(3)) event.set_page("/page/" + std::to_string(Pick(3)));
  if (OneIn(3)) event.set_category("category " + std::to_string(Pick(3)));
  if (!OneIn(8)) event.set_query("tea");
  if (OneIn(4)) event.set_session_id("session-" + std::to_string(Pick(5)));
  if (!OneIn(5)) event.set_value(static_cast<double>(Pick(1200)) / 100);
  if (OneIn(4)) event.set_quantity(static_cast<double>(Pick(50)) / 10);
  if (OneIn(4)) (*event.mutable_attributes())["store"] = OneIn(4) ? "" : "store-" + std::to_string(Pick(2));
  // Nothing is drawn for it: what seeds find stays the same.
  if (const int64_t slot = event.event_time().seconds() / 60 % 4; slot < 3) {
    event.set_experiment_bucket("experiment/bucket-" + std::to_string(slot));
  }
  event.set_anonymous(OneIn(10));
  int64_t& ids = ids_[user];
  if (!OneIn(5)) {
    // Mostly new; else a repeat, of a recent one mostly and of a very old one at times.
    const int64_t back = !OneIn(4) ? 0 : OneIn(3) ? Pick(200) : Pick(6);
    event.set_event_id("event-" + std::to_string(back == 0 ? ++ids : std::max<int64_t>(1, ids - back)));
  }
  return event;
}

int64_t RandomEvents::Time(int64_t now_unix_ms) {
  switch (Pick(12)) {
    case 0:
      return now_unix_ms - Pick(240 * kHour);
    case 1:
      return now_unix_ms + Pick(23 * kHour);
    case 2:
      return now_unix_ms + Pick(26 * kHour);
    default:
      return now_unix_ms - Pick(10 * kMinute);
  }
}

std::string RandomEvents::Value(int64_t user, int64_t now_unix_ms) {
  const v1::Event event = Event(user, now_unix_ms);
  if (!OneIn(5)) return event.SerializeAsString();
  std::string json;
  return google::protobuf::util::MessageToJsonString(event, &json).ok() ? json : event.SerializeAsString();
}

std::string RandomEvents::BadValue(int64_t user, int64_t now_unix_ms) {
  v1::Event event = Event(user, now_unix_ms);
  switch (Pick(12)) {
    case 0:
      return "";
    case 1:
      return "no event at all";
    case 2:
      return event.SerializeAsString().substr(0, static_cast<size_t>(1 + Pick(10)));
    case 3:
      return R"({"userId":"user-1","colour":"red"})";
    case 4:
      return event.SerializeAsString() + std::string("\x0a\x01\xff", 3);  // A user id that is not UTF-8.
    case 5:
      event.clear_user_id();
      break;
    case 6:
      event.set_type(static_cast<v1::EventType>(Pick(2) * 77));
      break;
    case 7:
      event.clear_event_time();
      break;
    case 8:
      event.set_value(OneIn(2) ? -1 : std::numeric_limits<double>::quiet_NaN());
      break;
    case 9:
      event.set_item_id("item\n");
      break;
    case 10:
      SetTime(Pick(300000000000), &event);
      break;
    default:
      event.set_query(std::string(1025, 'q'));
      break;
  }
  return event.SerializeAsString();
}

}  // namespace tributary::reference
