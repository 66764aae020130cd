#include "tests/reference/random_log.h"

#include <limits>
#include <map>
#include <random>
#include <string>

#include <google/protobuf/util/json_util.h>

namespace tributary::reference {
namespace {

constexpr int64_t kBegin = 1700000000000;
constexpr int64_t kMinute = 60 * 1000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int kUsers = 6;
constexpr int kItems = 5;

class LogMaker {
 public:
  explicit LogMaker(const RandomLogOptions& options) : options_(options), random_(options.seed) {}

  std::vector<RawRecord> Make() {
    std::vector<RawRecord> records;
    for (int line = 0; line < options_.imported; ++line) {
      const int64_t ordinal = 2 * line / options_.imported;  // Two files.
      records.push_back({-1, (ordinal << 40) + line, now_, Value(RandomEvent(Pick(kUsers)))});
    }
    std::vector<int64_t> next_offsets(static_cast<size_t>(options_.partitions));
    for (int i = 0; i < options_.records; ++i) {
      now_ += OneIn(40) ? Pick(30 * kHour) : Pick(20 * kMinute);
      const int user = static_cast<int>(Pick(kUsers));
      const auto partition = static_cast<int32_t>(OneIn(6) ? Pick(options_.partitions) : user % options_.partitions);
      int64_t& offset = next_offsets[static_cast<size_t>(partition)];
      if (OneIn(8)) offset += 1 + Pick(3);
      const int64_t append_time = OneIn(10) ? now_ - Pick(5 * kMinute) : now_;
      records.push_back({partition, offset++, append_time, OneIn(12) ? BadValue(user) : Value(RandomEvent(user))});
    }
    return records;
  }

 private:
  int64_t Pick(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }
  bool OneIn(int64_t n) { return Pick(n) == 0; }

  v1::Event RandomEvent(int64_t user) {
    v1::Event event;
    event.set_user_id("user-" + std::to_string(user));
    event.set_type(OneIn(40) ? v1::FORGET : static_cast<v1::EventType>(1 + Pick(v1::ACCOUNT_CREATED)));
    // On a coarse grid decisions of one item often have the same time, so that the position decides.
    const int64_t grid = OneIn(2) ? 12 * kHour : kMinute;
    SetTime(RandomTime() / grid * grid, &event);
    if (!OneIn(8)) event.set_item_id("item-" + std::to_string(Pick(kItems)));
    if (OneIn(3)) event.set_page("/page/" + std::to_string(Pick(3)));
    if (OneIn(3)) event.set_category("category " + std::to_string(Pick(3)));
    if (!OneIn(8)) event.set_query("tea");
    if (OneIn(4)) event.set_session_id("session-" + std::to_string(Pick(5)));
    if (!OneIn(5)) event.set_value(static_cast<double>(Pick(1200)) / 100);
    if (OneIn(4)) event.set_quantity(static_cast<double>(Pick(50)) / 10);
    if (OneIn(4)) (*event.mutable_attributes())["store"] = OneIn(4) ? "" : "store-" + std::to_string(Pick(2));
    event.set_anonymous(OneIn(10));
    int64_t& ids = ids_[user];
    if (!OneIn(5)) {
      // Mostly new; else a repeat, of a recent one mostly and of a very old one at times.
      const int64_t back = !OneIn(4) ? 0 : OneIn(3) ? Pick(200) : Pick(6);
      event.set_event_id("event-" + std::to_string(back == 0 ? ++ids : std::max<int64_t>(1, ids - back)));
    }
    return event;
  }

  int64_t RandomTime() {
    switch (Pick(12)) {
      case 0:
        return now_ - Pick(240 * kHour);
      case 1:
        return now_ + Pick(23 * kHour);
      case 2:
        return now_ + Pick(26 * kHour);
      default:
        return now_ - Pick(10 * kMinute);
    }
  }

  static void SetTime(int64_t unix_ms, v1::Event* event) {
    event->mutable_event_time()->set_seconds(unix_ms / 1000);
    event->mutable_event_time()->set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1000000);
  }

  std::string Value(const v1::Event& event) {
    if (!OneIn(5)) return event.SerializeAsString();
    std::string json;
    return google::protobuf::util::MessageToJsonString(event, &json).ok() ? json : event.SerializeAsString();
  }

  std::string BadValue(int64_t user) {
    v1::Event event = RandomEvent(user);
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

  const RandomLogOptions options_;
  std::mt19937_64 random_;
  int64_t now_ = kBegin;
  std::map<int64_t, int64_t> ids_;
};

}  // namespace

std::vector<RawRecord> MakeRandomLog(const RandomLogOptions& options) { return LogMaker(options).Make(); }

}  // namespace tributary::reference
