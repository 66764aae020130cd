#include "batch_layer/schedule/timetable.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"

namespace tributary::batch {
namespace {

constexpr absl::Duration kLeastDistance = absl::Seconds(1);
constexpr absl::Duration kGreatestDistance = absl::Hours(24 * 366);

// Unset when it is no number of two digits up to `most`.
std::optional<int> TwoDigits(absl::string_view text, int most) {
  int number = 0;
  if (text.size() != 2 || !absl::ascii_isdigit(text[0]) || !absl::SimpleAtoi(text, &number) || number > most) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

absl::StatusOr<Timetable> Timetable::DailyAt(absl::string_view at, absl::string_view zone) {
  const std::optional<int> hours = TwoDigits(at.substr(0, 2), 23);
  const std::optional<int> minutes = at.size() == 5 && at[2] == ':' ? TwoDigits(at.substr(3), 59) : std::nullopt;
  if (!hours || !minutes) {
    return absl::InvalidArgumentError(absl::StrCat("time of day is not HH:MM: flag=--daily-at value=", at));
  }
  TimeOfDay time{.minutes = *hours * 60 + *minutes};
  if (!absl::LoadTimeZone(std::string(zone), &time.zone)) {
    return absl::InvalidArgumentError(
        absl::StrCat("time zone is not known (is tzdata installed?): flag=--time-zone value=", zone));
  }
  return Timetable(time);
}

absl::StatusOr<Timetable> Timetable::Every(absl::string_view distance) {
  absl::Duration length;
  if (!absl::ParseDuration(std::string(distance), &length) || length < kLeastDistance || length > kGreatestDistance) {
    return absl::InvalidArgumentError(
        absl::StrCat("duration is not between 1s and 366 days, such as 6h or 1h30m: flag=--every value=", distance));
  }
  return Timetable(Distance{length});
}

absl::Time Timetable::TimeOfDay::On(absl::CivilDay day) const {
  const absl::CivilSecond shown = absl::CivilSecond(day) + 60 * minutes;
  const absl::TimeZone::TimeInfo info = zone.At(shown);
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

absl::Time Timetable::NextAfter(absl::Time time) const {
  if (const Distance* distance = std::get_if<Distance>(&when_)) {
    return time + distance->length;
  }
  const TimeOfDay& daily = std::get<TimeOfDay>(when_);
  // Where the calendar leaps over a whole day, that day's time lies on the next.
  for (absl::CivilDay day = absl::CivilDay(daily.zone.At(time).cs) - 1;; ++day) {
    if (const absl::Time due = daily.On(day); due > time) {
      return due;
    }
  }
}

std::string Timetable::Format(absl::Time time) const {
  const TimeOfDay* daily = std::get_if<TimeOfDay>(&when_);
  return absl::FormatTime("%Y-%m-%d %H:%M:%S %Ez", time, daily == nullptr ? absl::UTCTimeZone() : daily->zone);
}

}  // namespace tributary::batch
