#include "common/user_state/fact.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

Event FullEvent(EventType type) {
  Event event;
  event.type = type;
  event.user_id = "ann";
  event.event_time_unix_ms = 5;
  event.item_id = "tea";
  event.page = "/p";
  event.category = "drinks";
  event.query = "green";
  event.session_id = "s";
  event.value_micros = 6;
  event.quantity_micros = 7;
  return event;
}

TEST(FactOfTest, CarriesWhatTheEventSays) {
  const Fact expected{v1::PURCHASE, "tea", 5, Offset{9}, 6, 7, "s", "", 8};
  EXPECT_EQ(FactOf(FullEvent(v1::PURCHASE), Offset{9}, 8), expected);
}

TEST(FactOfTest, ImpressionsAndAdjustmentsOfTheBooksLeaveNone) {
  for (int type = v1::EventType_MIN + 1; type <= v1::EventType_MAX; ++type) {
    const auto kind = static_cast<EventType>(type);
    EXPECT_EQ(FactOf(FullEvent(kind), Offset{1}, 1).has_value(), kind != v1::IMPRESSION && kind != v1::ADJUSTMENT)
        << v1::EventType_Name(kind);
  }
}

TEST(FactOfTest, AnonymousEventsGiveFacts) {
  Event event = FullEvent(v1::VIEW);
  event.anonymous = true;
  EXPECT_EQ(FactOf(event, Offset{1}, 1), FactOf(FullEvent(v1::VIEW), Offset{1}, 1));
}

TEST(FactOfTest, TextIsTheQueryOrStandsInForTheItem) {
  struct Case {
    EventType type;
    bool item;
    std::string item_id;
    std::string text;
  };
  for (const Case& c : {Case{v1::SEARCH, true, "", "green"}, Case{v1::VIEW, true, "tea", ""},
                        Case{v1::VIEW, false, "", "/p"}, Case{v1::CLICK, false, "", "/p"},
                        Case{v1::PURCHASE, false, "", "drinks"}, Case{v1::RETURN, false, "", "drinks"},
                        Case{v1::ACCOUNT_CREATED, true, "", "drinks"}, Case{v1::FORGET, true, "", "drinks"}}) {
    Event event = FullEvent(c.type);
    if (!c.item) event.item_id.clear();
    const auto fact = FactOf(event, Offset{1}, 1);
    ASSERT_TRUE(fact.has_value());
    EXPECT_EQ(fact->item_id, c.item_id) << v1::EventType_Name(c.type);
    EXPECT_EQ(fact->text, c.text) << v1::EventType_Name(c.type);
  }
}

TEST(FactTest, TheWayThroughTheMessageIsExact) {
  const Fact fact{v1::VIEW, "tea", 5, Offset{9}, 6, 7, "s", "text", 8};
  v1::Fact message;
  ToProto(fact, &message);
  EXPECT_EQ(FromProto(message), fact);
}

}  // namespace
}  // namespace tributary
