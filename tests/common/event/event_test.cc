#include "common/event/event.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/event/event_fields.h"
#include "common/event/utf8.h"
#include "tests/reference/seed.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr int64_t kNow = 1700000000000;

v1::Event Message(EventType type = v1::VIEW) {
  v1::Event message;
  message.set_user_id("ann");
  message.set_type(type);
  message.mutable_event_time()->set_seconds(kNow / 1000);
  message.set_item_id("tea");
  message.set_query("green tea");
  message.set_value(5);
  return message;
}

Rejection RejectionOf(const std::variant<Event, Rejection>& result) {
  if (const auto* rejection = std::get_if<Rejection>(&result)) return *rejection;
  ADD_FAILURE() << "accepted";
  return {};
}

Event Accepted(const std::variant<Event, Rejection>& result) {
  if (const auto* event = std::get_if<Event>(&result)) return *event;
  const auto& rejection = std::get<Rejection>(result);
  ADD_FAILURE() << "rejected: " << rejection.field << ": " << rejection.reason;
  return {};
}

Event Parse(const v1::Event& message) { return Accepted(ParseEvent(message.SerializeAsString(), kNow)); }

// The wire form of a message, with one field of bytes that protobuf would not let a string hold.
std::string WithBytes(const v1::Event& message, int field, const std::string& bytes) {
  std::string wire = message.SerializeAsString();
  wire.push_back(static_cast<char>(field << 3 | 2));
  wire.push_back(static_cast<char>(bytes.size()));
  return wire + bytes;
}

void ExpectSame(const Event& a, const Event& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.user_id, b.user_id);
  EXPECT_EQ(a.event_time_unix_ms, b.event_time_unix_ms);
  EXPECT_EQ(a.item_id, b.item_id);
  EXPECT_EQ(a.page, b.page);
  EXPECT_EQ(a.category, b.category);
  EXPECT_EQ(a.query, b.query);
  EXPECT_EQ(a.session_id, b.session_id);
  EXPECT_EQ(a.event_id_hash, b.event_id_hash);
  EXPECT_EQ(a.value_micros, b.value_micros);
  EXPECT_EQ(a.quantity_micros, b.quantity_micros);
  EXPECT_EQ(a.anonymous, b.anonymous);
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.experiment_bucket, b.experiment_bucket);
}

v1::Event FullMessage() {
  v1::Event message = Message(v1::PURCHASE);
  message.mutable_event_time()->set_nanos(123999999);
  message.set_page("/tea");
  message.set_event_id("e-1");
  message.set_session_id("s-1");
  message.set_value(19.99);
  message.set_quantity(2.5);
  message.set_category("drinks");
  (*message.mutable_attributes())["store"] = "Wien";
  (*message.mutable_attributes())["device"] = "phöne";
  message.set_anonymous(true);
  message.set_experiment_bucket("b");
  return message;
}

TEST(ParseEventTest, ReadsEveryField) {
  const Event event = Parse(FullMessage());
  EXPECT_EQ(event.type, v1::PURCHASE);
  EXPECT_EQ(event.user_id, "ann");
  EXPECT_EQ(event.event_time_unix_ms, kNow + 123) << "rounded down to milliseconds";
  EXPECT_EQ(event.item_id, "tea");
  EXPECT_EQ(event.page, "/tea");
  EXPECT_EQ(event.category, "drinks");
  EXPECT_EQ(event.query, "green tea");
  EXPECT_EQ(event.session_id, "s-1");
  EXPECT_EQ(event.event_id_hash, HashEventId("e-1"));
  EXPECT_EQ(event.value_micros, 19990000);
  EXPECT_EQ(event.quantity_micros, 2500000);
  EXPECT_TRUE(event.anonymous);
  EXPECT_THAT(event.attributes, ElementsAre(Pair("device", "phöne"), Pair("store", "Wien")));
  EXPECT_EQ(event.experiment_bucket, "b");
}

TEST(ParseEventTest, JsonAndBinaryGiveTheSameEvent) {
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(FullMessage(), &json).ok());
  ExpectSame(Accepted(ParseEvent(json, kNow)), Parse(FullMessage()));
}

TEST(ParseEventTest, JsonAsWrittenByHandIsRead) {
  const Event event = Accepted(ParseEvent(
      R"({"user_id":"ann","type":"RATING","eventTime":"2023-11-14T22:13:20.5Z","itemId":"tea","value":4.5})", kNow));
  EXPECT_EQ(event.event_time_unix_ms, kNow + 500);
  EXPECT_EQ(event.value_micros, 4500000);
}

TEST(ParseEventTest, AMessageMayHaveFieldsOfTheFuture) {
  v1::Event message = Message();
  message.GetReflection()->MutableUnknownFields(&message)->AddVarint(500, 1);
  ExpectSame(Parse(message), Parse(Message()));
}

TEST(ParseEventTest, ARecordLeavesNothingBehindForTheNext) {
  Parse(FullMessage());
  ExpectSame(Parse(Message()), Accepted(ValidateEvent(Message(), kNow)));
  Accepted(ParseEvent(R"({"user_id":"bob","type":"ACCOUNT_CREATED","event_time":"2023-11-14T22:13:20Z"})", kNow));
  ExpectSame(Parse(Message()), Accepted(ValidateEvent(Message(), kNow)));
}

struct RejectCase {
  std::string name;
  std::string record;
  RejectCause cause;
  std::string field;
};

std::string Changed(const std::function<void(v1::Event*)>& change, EventType type = v1::VIEW) {
  v1::Event message = Message(type);
  change(&message);
  return message.SerializeAsString();
}

std::vector<RejectCase> RejectCases() {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto json = [](const std::string& rest) {
    return R"({"userId":"ann","type":"VIEW","eventTime":"2023-11-14T22:13:20Z","itemId":"tea")" + rest + "}";
  };
  v1::Event many_attributes = Message();
  for (size_t i = 0; i <= kMaxAttributes; ++i) (*many_attributes.mutable_attributes())[std::to_string(i)] = "x";
  return {
      {"empty record", "", v1::MALFORMED, ""},
      {"not a protobuf", "hello", v1::MALFORMED, ""},
      {"truncated protobuf", Message().SerializeAsString().substr(0, 19), v1::MALFORMED, ""},
      {"protobuf that ends within a character", Message().SerializeAsString() + "\x2a\x05t\xc3", v1::MALFORMED, ""},
      {"broken JSON", R"({"userId":)", v1::MALFORMED, ""},
      {"text after JSON", json("") + "x", v1::MALFORMED, ""},
      {"unknown JSON field", json(R"(,"colour":"red")"), v1::MALFORMED, "colour"},
      {"unknown nested JSON field", json(R"(,"attributes":{"a":{"b":1}})"), v1::MALFORMED, "attributes[0].value.b"},
      {"JSON value of another type", json(R"(,"value":"much")"), v1::MALFORMED, "value"},
      {"JSON number beyond double", json(R"(,"value":1e999)"), v1::MALFORMED, ""},
      {"JSON time unreadable", R"({"userId":"ann","type":"VIEW","itemId":"tea","eventTime":"noon"})", v1::MALFORMED,
       "event_time"},
      {"record too long", std::string(kMaxEventBytes + 1, 'x'), v1::OVERSIZED, ""},
      {"user id too long", Changed([](auto* m) { m->set_user_id(std::string(kMaxIdBytes + 1, 'u')); }), v1::OVERSIZED,
       "user_id"},
      {"item id too long", Changed([](auto* m) { m->set_item_id(std::string(kMaxIdBytes + 1, 'u')); }), v1::OVERSIZED,
       "item_id"},
      {"event id too long", Changed([](auto* m) { m->set_event_id(std::string(kMaxIdBytes + 1, 'u')); }), v1::OVERSIZED,
       "event_id"},
      {"session id too long", Changed([](auto* m) { m->set_session_id(std::string(kMaxIdBytes + 1, 'u')); }),
       v1::OVERSIZED, "session_id"},
      {"page too long", Changed([](auto* m) { m->set_page(std::string(kMaxTextBytes + 1, 'u')); }), v1::OVERSIZED,
       "page"},
      {"query too long", Changed([](auto* m) { m->set_query(std::string(kMaxTextBytes + 1, 'u')); }), v1::OVERSIZED,
       "query"},
      {"category too long", Changed([](auto* m) { m->set_category(std::string(kMaxIdBytes + 1, 'u')); }), v1::OVERSIZED,
       "category"},
      {"bucket too long", Changed([](auto* m) { m->set_experiment_bucket(std::string(kMaxBucketBytes + 1, 'u')); }),
       v1::OVERSIZED, "experiment_bucket"},
      {"too many attributes", many_attributes.SerializeAsString(), v1::OVERSIZED, "attributes"},
      {"attribute key too long",
       Changed([](auto* m) { (*m->mutable_attributes())[std::string(kMaxAttributeKeyBytes + 1, 'k')] = "v"; }),
       v1::OVERSIZED, "attributes"},
      {"attribute value too long",
       Changed([](auto* m) { (*m->mutable_attributes())["k"] = std::string(kMaxTextBytes + 1, 'v'); }), v1::OVERSIZED,
       "attributes"},
      {"user id not UTF-8", WithBytes(Message(), 1, "\xff"), v1::NOT_UTF8, "user_id"},
      {"user id overlong encoding", WithBytes(Message(), 1, "\xc0\xaf"), v1::NOT_UTF8, "user_id"},
      {"page not UTF-8", WithBytes(Message(), 5, "a\xe4z"), v1::NOT_UTF8, "page"},
      {"bucket not UTF-8", WithBytes(Message(), 14, "\x80"), v1::NOT_UTF8, "experiment_bucket"},
      {"attribute key not UTF-8", WithBytes(Message(), 12, "\x0a\x01\xff"), v1::NOT_UTF8, "attributes"},
      {"attribute value not UTF-8", WithBytes(Message(), 12, "\x12\x01\xff"), v1::NOT_UTF8, "attributes"},
      {"JSON not UTF-8", json(",\"page\":\"\xff\""), v1::NOT_UTF8, ""},
      {"JSON escape of half a character", json(R"(,"page":"\udc00")"), v1::MALFORMED, ""},
      {"no user", Changed([](auto* m) { m->clear_user_id(); }), v1::MISSING_FIELD, "user_id"},
      {"no type", Changed([](auto* m) { m->clear_type(); }), v1::MISSING_FIELD, "type"},
      {"no time", Changed([](auto* m) { m->clear_event_time(); }), v1::MISSING_FIELD, "event_time"},
      {"JSON null", R"({"userId":null,"type":"VIEW"})", v1::MISSING_FIELD, "user_id"},
      {"rating without value", Changed([](auto* m) { m->clear_value(); }, v1::RATING), v1::MISSING_FIELD, "value"},
      {"search without query", Changed([](auto* m) { m->clear_query(); }, v1::SEARCH), v1::MISSING_FIELD, "query"},
      {"unknown type", Changed([](auto* m) { m->set_type(static_cast<EventType>(99)); }), v1::UNKNOWN_TYPE, "type"},
      {"unknown type name", R"({"userId":"ann","type":"STARE"})", v1::UNKNOWN_TYPE, "type"},
      {"negative value", Changed([](auto* m) { m->set_value(-0.01); }), v1::BAD_VALUE, "value"},
      {"infinite value", Changed([=](auto* m) { m->set_value(infinity); }), v1::BAD_VALUE, "value"},
      {"value not a number", Changed([=](auto* m) { m->set_value(nan); }), v1::BAD_VALUE, "value"},
      {"JSON value not a number", json(R"(,"value":"NaN")"), v1::BAD_VALUE, "value"},
      {"value too large", Changed([](auto* m) { m->set_value(9.1e12); }), v1::BAD_VALUE, "value"},
      {"rating above ten", Changed([](auto* m) { m->set_value(10.5); }, v1::RATING), v1::BAD_VALUE, "value"},
      {"negative quantity", Changed([](auto* m) { m->set_quantity(-1); }), v1::BAD_VALUE, "quantity"},
      {"quantity not a number", Changed([=](auto* m) { m->set_quantity(nan); }), v1::BAD_VALUE, "quantity"},
      {"nanoseconds out of range", Changed([](auto* m) { m->mutable_event_time()->set_nanos(1000000000); }),
       v1::BAD_VALUE, "event_time"},
      {"a day and a millisecond ahead", Changed([](auto* m) {
         m->mutable_event_time()->set_seconds((kNow + kMaxFutureMs) / 1000);
         m->mutable_event_time()->set_nanos(1000000);
       }),
       v1::TIME_IN_FUTURE, "event_time"},
      {"seconds beyond every calendar",
       Changed([](auto* m) { m->mutable_event_time()->set_seconds(std::numeric_limits<int64_t>::max()); }),
       v1::TIME_IN_FUTURE, "event_time"},
      {"the end of 1979", Changed([](auto* m) {
         m->mutable_event_time()->set_seconds(kMinEventTimeUnixMs / 1000 - 1);
         m->mutable_event_time()->set_nanos(999999999);
       }),
       v1::TIME_IN_PAST, "event_time"},
      {"seconds before every calendar",
       Changed([](auto* m) { m->mutable_event_time()->set_seconds(std::numeric_limits<int64_t>::min()); }),
       v1::TIME_IN_PAST, "event_time"},
      {"control character in user id", Changed([](auto* m) { m->set_user_id("a\x01"); }), v1::CONTROL_CHARACTER,
       "user_id"},
      {"NUL in item id", Changed([](auto* m) { m->set_item_id(std::string("a\0b", 3)); }), v1::CONTROL_CHARACTER,
       "item_id"},
      {"DEL in event id", Changed([](auto* m) { m->set_event_id("a\x7f"); }), v1::CONTROL_CHARACTER, "event_id"},
      {"C1 control in session id", Changed([](auto* m) { m->set_session_id("a\xc2\x85"); }), v1::CONTROL_CHARACTER,
       "session_id"},
  };
}

TEST(ParseEventTest, WhatIsRefusedSaysCauseFieldAndReason) {
  for (const RejectCase& c : RejectCases()) {
    SCOPED_TRACE(c.name);
    const Rejection rejection = RejectionOf(ParseEvent(c.record, kNow));
    EXPECT_EQ(v1::RejectCause_Name(rejection.cause), v1::RejectCause_Name(c.cause));
    EXPECT_EQ(rejection.field, c.field);
    EXPECT_FALSE(rejection.reason.empty());
    EXPECT_EQ(rejection.reason.find('\n'), std::string::npos) << rejection.reason;
    EXPECT_LT(rejection.reason.size(), 600u);
    v1::DeadLetter letter;
    letter.set_reason(rejection.reason);
    EXPECT_TRUE(v1::DeadLetter().ParseFromString(letter.SerializeAsString())) << "the reason itself is not UTF-8";
  }
}

TEST(ParseEventTest, EveryCauseIsReached) {
  std::set<int> reached;
  for (const RejectCase& c : RejectCases()) reached.insert(c.cause);
  for (int cause = v1::RejectCause_MIN + 1; cause <= v1::RejectCause_MAX; ++cause) {
    EXPECT_TRUE(reached.contains(cause)) << v1::RejectCause_Name(static_cast<RejectCause>(cause));
  }
}

TEST(ParseEventTest, AnUnknownJsonFieldIsNamedInTheReason) {
  EXPECT_THAT(RejectionOf(ParseEvent(R"({"userid":"ann"})", kNow)).reason, HasSubstr("field=userid"));
}

TEST(ParseEventTest, AReasonStaysShortAndReadableWhateverItQuotes) {
  std::string name;
  for (int i = 0; i < 10000; ++i) name += "ü";
  const Rejection rejection = RejectionOf(ParseEvent("{\"x" + name + "\":1}", kNow));
  EXPECT_LT(rejection.reason.size(), 600u);
  EXPECT_THAT(rejection.field, HasSubstr("xüü"));
}

TEST(ValidateEventTest, EachTypeNeedsWhatTheSchemaSays) {
  struct Needs {
    EventType type;
    bool item;
    bool or_page;
    bool or_category;
  };
  for (const Needs& needs : {Needs{v1::IMPRESSION, true, false, false}, Needs{v1::VIEW, true, true, false},
                             Needs{v1::CLICK, true, true, false}, Needs{v1::ADD_TO_CART, true, false, false},
                             Needs{v1::PURCHASE, true, false, true}, Needs{v1::RETURN, true, false, true},
                             Needs{v1::ADJUSTMENT, false, false, false}, Needs{v1::LIKE, true, false, false},
                             Needs{v1::DISLIKE, true, false, false}, Needs{v1::RATING, true, false, false},
                             Needs{v1::SEARCH, false, false, false}, Needs{v1::ACCOUNT_CREATED, false, false, false},
                             Needs{v1::FORGET, false, false, false}}) {
    SCOPED_TRACE(v1::EventType_Name(needs.type));
    v1::Event message = Message(needs.type);
    Accepted(ValidateEvent(message, kNow));
    message.clear_item_id();
    const auto accepted = [&] { return std::holds_alternative<Event>(ValidateEvent(message, kNow)); };
    EXPECT_EQ(accepted(), !needs.item);
    if (needs.item) {
      EXPECT_EQ(RejectionOf(ValidateEvent(message, kNow)).field, "item_id");
    }
    message.set_page("/p");
    EXPECT_EQ(accepted(), !needs.item || needs.or_page);
    message.clear_page();
    message.set_category("c");
    EXPECT_EQ(accepted(), !needs.item || needs.or_category);
  }
}

TEST(ValidateEventTest, TheLimitsThemselvesAreAllowed) {
  v1::Event message = Message(v1::RATING);
  message.set_user_id(std::string(kMaxIdBytes, 'u'));
  message.set_page(std::string(kMaxTextBytes, 'p'));
  message.set_experiment_bucket(std::string(kMaxBucketBytes, 'b'));
  message.set_value(10);
  message.set_quantity(kMaxAmount);
  for (size_t i = 0; i < kMaxAttributes; ++i) {
    (*message.mutable_attributes())[std::string(kMaxAttributeKeyBytes - 1, 'k') + static_cast<char>('0' + i)] =
        std::string(kMaxTextBytes, 'v');
  }
  message.mutable_event_time()->set_seconds((kNow + kMaxFutureMs) / 1000);
  EXPECT_EQ(Parse(message).quantity_micros, 9000000000000000000);
  message.mutable_event_time()->set_seconds(kMinEventTimeUnixMs / 1000);
  EXPECT_EQ(Parse(message).event_time_unix_ms, kMinEventTimeUnixMs);
}

TEST(ValidateEventTest, AMissingQuantityIsOneWhereTheTypeHasUnits) {
  EXPECT_EQ(Parse(Message(v1::PURCHASE)).quantity_micros, 1000000);
  EXPECT_EQ(Parse(Message(v1::VIEW)).quantity_micros, 0);
  v1::Event none = Message(v1::PURCHASE);
  none.set_quantity(0);
  EXPECT_EQ(Parse(none).quantity_micros, 0);
}

TEST(ValidateEventTest, AmountsBecomeTheNearestMicros) {
  for (const auto& [value, micros] : {std::pair{0.0, int64_t{0}},
                                      {0.29, int64_t{290000}},
                                      {1e-7, int64_t{0}},
                                      {5e-7, int64_t{1}},
                                      {1.005, int64_t{1005000}},
                                      {123456789.123456, 123456789123456}}) {
    v1::Event message = Message();
    message.set_value(value);
    EXPECT_EQ(Parse(message).value_micros, micros) << value;
  }
}

TEST(ValidateEventTest, RecordTimeDecidesNotTheClock) {
  v1::Event message = Message();
  Accepted(ValidateEvent(message, kNow - kMaxFutureMs));
  EXPECT_EQ(RejectionOf(ValidateEvent(message, kNow - kMaxFutureMs - 1)).cause, v1::TIME_IN_FUTURE);
  EXPECT_EQ(RejectionOf(ValidateEvent(message, std::numeric_limits<int64_t>::min())).cause, v1::TIME_IN_FUTURE);
}

TEST(ToProtoTest, TheWayThereAndBackIsExact) {
  for (const double amount : {0.0, 0.1, 19.99, 1e6 / 3, 4503599627.370497, 7777777777777.77, 8.9999999999e12, 9e12}) {
    for (const EventType type : {v1::PURCHASE, v1::VIEW, v1::ADJUSTMENT}) {
      v1::Event message = FullMessage();
      message.set_type(type);
      message.set_value(amount);
      message.set_quantity(amount);
      Event event = Parse(message);
      event.event_id_hash = 0;
      ExpectSame(Parse(ToProto(event)), event);
    }
  }
  v1::Event rating = Message(v1::RATING);
  rating.set_value(0);
  ExpectSame(Parse(ToProto(Parse(rating))), Parse(rating));
}

TEST(HashEventIdTest, IsXxh64) {
  // From the specification of xxHash, seed 0.
  EXPECT_EQ(HashEventId("abc"), 0x44bc2cf5ad770999u);
}

// ---- reading the bytes without the parser of protobuf ----

std::string Shown(const EventFields& fields) {
  std::string shown = absl::StrCat(
      absl::CEscape(fields.user_id), "|", fields.type, "|", fields.has_event_time, "|", fields.event_time_seconds, "|",
      fields.event_time_nanos, "|", absl::CEscape(fields.item_id), "|", absl::CEscape(fields.page), "|",
      absl::CEscape(fields.event_id), "|", absl::CEscape(fields.session_id), "|", absl::CEscape(fields.query), "|",
      absl::CEscape(fields.category), "|", fields.anonymous, "|", absl::CEscape(fields.experiment_bucket));
  for (const auto& amount : {fields.value, fields.quantity}) {
    absl::StrAppend(&shown, "|", amount ? absl::StrCat(std::bit_cast<uint64_t>(*amount)) : "none");
  }
  std::vector<std::string> attributes;
  for (const auto& [key, value] : fields.attributes) {
    attributes.push_back(absl::StrCat(absl::CEscape(key), "=", absl::CEscape(value)));
  }
  std::sort(attributes.begin(), attributes.end());
  return absl::StrCat(shown, "|", absl::StrJoin(attributes, ","));
}

TEST(ReadFieldsTest, WhatItReadsIsWhatTheParserReads) {
  const uint64_t seed = reference::TestSeed();
  std::mt19937_64 random(seed);
  const auto below = [&random](size_t n) { return static_cast<size_t>(random() % n); };
  v1::Event full = FullMessage();
  (*full.mutable_attributes())["device"] = "phone";
  const std::string bytes = full.SerializeAsString();
  int read = 0;
  for (int run = 0; run < 200'000; ++run) {
    std::string mutated = run == 0 ? bytes : bytes.substr(0, below(4) == 0 ? below(bytes.size() + 1) : bytes.size());
    for (size_t changes = run == 0 ? 0 : below(4); changes > 0 && !mutated.empty(); --changes) {
      const size_t at = below(mutated.size());
      switch (below(3)) {
        case 0:
          mutated[at] = static_cast<char>(random());
          break;
        case 1:
          mutated.erase(at, 1 + below(3));
          break;
        default:
          mutated.insert(at, mutated.substr(below(mutated.size()), 1 + below(12)));
      }
    }
    EventFields fields;
    if (!ReadFields(mutated, &fields)) continue;
    ++read;
    v1::Event message;
    ASSERT_TRUE(message.ParseFromString(mutated)) << absl::CEscape(mutated);
    ASSERT_EQ(Shown(fields), Shown(FieldsOf(message))) << absl::CEscape(mutated);
  }
  EXPECT_GT(read, 10'000);
}

TEST(IsPlainTextTest, IsPrintableAsciiWhereverItLies) {
  for (int byte = 0; byte < 256; ++byte) {
    for (size_t size : {1u, 7u, 8u, 9u, 16u, 19u}) {
      for (size_t at = 0; at < size; ++at) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        EXPECT_EQ(IsPlainText(text), byte >= 0x20 && byte < 0x7f)
            << "byte=" << byte << " size=" << size << " at=" << at;
      }
    }
  }
  EXPECT_TRUE(IsPlainText(""));
}

}  // namespace
}  // namespace tributary
