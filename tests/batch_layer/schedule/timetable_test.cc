#include "batch_layer/schedule/timetable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tributary::batch {
namespace {

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << text << ": " << error;
  return time;
}

std::string Text(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

Timetable Daily(const std::string& at, const std::string& zone) {
  const auto timetable = Timetable::DailyAt(at, zone);
  EXPECT_TRUE(timetable.ok()) << timetable.status();
  return timetable.value_or(*Timetable::Every("1h"));
}

TEST(TimetableTest, DailyTimesAroundChangesOfTheClock) {
  struct Case {
    std::string what;
    std::string at;
    std::string zone;
    std::string from;              // Not due itself.
    std::vector<std::string> due;  // What comes next, one after the other.
  };
  // clang-format off
  const Case cases[] = {
      {"plain days", "02:00", "UTC", "2026-01-31T01:59:59Z", {"2026-01-31T02:00:00Z", "2026-02-01T02:00:00Z"}},
      {"the due moment itself is past", "02:00", "UTC", "2026-01-31T02:00:00Z", {"2026-02-01T02:00:00Z"}},
      {"midnight", "00:00", "UTC", "2026-12-31T12:00:00Z", {"2027-01-01T00:00:00Z"}},
      {"the last minute", "23:59", "UTC", "2028-02-28T23:59:30Z", {"2028-02-29T23:59:00Z", "2028-03-01T23:59:00Z"}},
      {"winter and summer in Berlin", "02:00", "Europe/Berlin", "2026-03-27T12:00:00Z",
       {"2026-03-28T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
      {"02:30 does not exist on 29 March: the moment of the leap", "02:30", "Europe/Berlin", "2026-03-28T12:00:00Z",
       {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
      {"03:00 exists on 29 March, and is that moment", "03:00", "Europe/Berlin", "2026-03-28T12:00:00Z",
       {"2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"}},
      {"02:30 comes twice on 25 October: the first", "02:30", "Europe/Berlin", "2026-10-24T12:00:00Z",
       {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
      {"between the two: not again", "02:30", "Europe/Berlin", "2026-10-25T01:00:00Z", {"2026-10-26T01:30:00Z"}},
      {"02:00 comes twice: the first, an hour before the change", "02:00", "Europe/Berlin", "2026-10-24T12:00:00Z",
       {"2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z"}},
      {"03:00 comes once, after the change", "03:00", "Europe/Berlin", "2026-10-24T12:00:00Z",
       {"2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"}},
      {"New York in spring", "02:15", "America/New_York", "2026-03-07T12:00:00Z",
       {"2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"}},
      {"New York in autumn", "01:15", "America/New_York", "2026-10-31T12:00:00Z",
       {"2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z"}},
      {"half an hour in Lord Howe: 02:15 does not exist", "02:15", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
       {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
      {"midnight does not exist in Beirut", "00:00", "Asia/Beirut", "2022-03-26T00:00:00Z",
       {"2022-03-26T22:00:00Z", "2022-03-27T21:00:00Z"}},
      {"a day that does not exist in Apia: the moment of the leap, then the next day's own time", "02:00",
       "Pacific/Apia", "2011-12-29T13:00:00Z", {"2011-12-30T10:00:00Z", "2011-12-30T12:00:00Z", "2011-12-31T12:00:00Z"}},
      {"where both are one moment it comes once", "00:00", "Pacific/Apia", "2011-12-29T13:00:00Z",
       {"2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"}},
      {"a zone without changes, of a quarter of an hour", "02:00", "Asia/Kathmandu", "2026-06-01T00:00:00Z",
       {"2026-06-01T20:15:00Z"}},
  };
  // clang-format on
  for (const Case& test : cases) {
    const Timetable timetable = Daily(test.at, test.zone);
    std::vector<std::string> due;
    absl::Time time = At(test.from);
    for (size_t i = 0; i < test.due.size(); ++i) {
      time = timetable.NextAfter(time);
      due.push_back(Text(time));
    }
    EXPECT_THAT(due, testing::ElementsAreArray(test.due)) << test.what;
  }
}

// Whatever the zone and the time of day: three years have as many due times as days, at least 22 and at most 26 hours
// apart, and the next one of every moment between two is the second.
TEST(TimetableTest, EveryDayHasOneTime) {
  for (const char* zone : {"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
                           "Asia/Beirut", "Africa/Casablanca", "Asia/Tokyo"}) {
    for (const char* at : {"00:00", "01:30", "02:00", "02:30", "03:00", "23:59"}) {
      const Timetable timetable = Daily(at, zone);
      absl::Time due = timetable.NextAfter(At("2016-01-01T12:00:00Z"));
      int days = 0;
      for (; due < At("2019-01-01T12:00:00Z"); ++days) {
        const absl::Time next = timetable.NextAfter(due);
        ASSERT_GE(next - due, absl::Hours(22)) << zone << " " << at << " " << Text(due);
        ASSERT_LE(next - due, absl::Hours(26)) << zone << " " << at << " " << Text(due);
        for (const absl::Duration later : {absl::Nanoseconds(1), absl::Minutes(59), absl::Hours(3), absl::Hours(21)}) {
          ASSERT_EQ(timetable.NextAfter(due + later), next) << zone << " " << at << " " << Text(due + later);
        }
        due = next;
      }
      EXPECT_EQ(days, 366 + 365 + 365) << zone << " " << at;
    }
  }
}

TEST(TimetableTest, ADistanceCountsFromTheLastRun) {
  const auto timetable = Timetable::Every("1h30m");
  ASSERT_TRUE(timetable.ok()) << timetable.status();
  EXPECT_EQ(Text(timetable->NextAfter(At("2026-10-25T00:45:00Z"))), "2026-10-25T02:15:00Z");
  EXPECT_TRUE(timetable->begins_at_once());
  EXPECT_FALSE(Daily("02:00", "UTC").begins_at_once());
}

TEST(TimetableTest, TimesAreShownAsTheZoneReadsThem) {
  EXPECT_EQ(Daily("02:30", "Europe/Berlin").Format(At("2026-03-29T01:00:00Z")), "2026-03-29 03:00:00 +02:00");
  EXPECT_EQ(Timetable::Every("1h")->Format(At("2026-03-29T01:00:00Z")), "2026-03-29 01:00:00 +00:00");
}

TEST(TimetableTest, WhatIsNoTimeIsRefusedWithItsFlag) {
  for (const char* at : {"", "2:00", "02:0", "24:00", "02:60", "02-00", "02:00:00", "-1:00", "+2:00", "ab:cd", "02:0x"}) {
    const absl::Status status = Timetable::DailyAt(at, "UTC").status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << at;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--daily-at")) << at;
  }
  EXPECT_THAT(std::string(Timetable::DailyAt("02:00", "Europe/Atlantis").status().message()),
              testing::HasSubstr("--time-zone value=Europe/Atlantis"));
  for (const char* every : {"", "6", "soon", "0s", "-6h", "0.5s", "inf", "9000h"}) {
    const absl::Status status = Timetable::Every(every).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << every;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--every")) << every;
  }
}

}  // namespace
}  // namespace tributary::batch
