#include "common/event/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/event/event.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SessionizeTest, NoEventsHaveNoSessions) { EXPECT_THAT(Sessionize({}), IsEmpty()); }

TEST(SessionizeTest, AGapOfExactlyThirtyMinutesJoinsAndOneMillisecondMoreParts) {
  EXPECT_THAT(Sessionize({{0, ""}, {kSessionGapMs, ""}, {2 * kSessionGapMs + 1, ""}}), ElementsAre(0, 0, 1));
}

TEST(SessionizeTest, TheGapIsCountedFromTheEventBeforeNotFromTheFirst) {
  EXPECT_THAT(Sessionize({{0, ""}, {kSessionGapMs, ""}, {2 * kSessionGapMs, ""}}), ElementsAre(0, 0, 0));
}

TEST(SessionizeTest, AGivenSessionIdJoinsHoweverFarApart) {
  EXPECT_THAT(Sessionize({{0, "a"}, {1, "b"}, {100 * kSessionGapMs, "a"}}), ElementsAre(0, 1, 0));
}

TEST(SessionizeTest, EventsWithAndWithoutIdDoNotTouchEachOther) {
  // The event with an id in between does not bridge the gap.
  EXPECT_THAT(Sessionize({{0, ""}, {kSessionGapMs, "a"}, {kSessionGapMs + 1, ""}, {kSessionGapMs + 2, "a"}}),
              ElementsAre(0, 1, 2, 1));
}

}  // namespace
}  // namespace tributary
