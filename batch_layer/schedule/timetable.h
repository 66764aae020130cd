#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_TIMETABLE_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_TIMETABLE_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tributary::batch {

// When runs are due: once a day at a time of the clock on the wall, or at a distance from one to the next. A value.
class Timetable {
 public:
  // `at`: HH:MM, 00:00 to 23:59. `zone`: of the IANA database, such as Europe/Berlin, or UTC. Exactly one time on every
  // calendar day: one that the clock leaps over in spring is the moment of the leap, one that it shows twice in autumn
  // is the first of the two. InvalidArgument: no such time or zone.
  static absl::StatusOr<Timetable> DailyAt(absl::string_view at, absl::string_view zone);
  // `distance`: such as 6h, 90m, 1h30m, from the beginning of one run to that of the next; at least 1 s.
  // InvalidArgument.
  static absl::StatusOr<Timetable> Every(absl::string_view distance);

  // The first time after `time`, which is taken for the last run.
  absl::Time NextAfter(absl::Time time) const;
  // Without any run before, the first is due at once. (A time of day was chosen for a reason; a distance was not.)
  bool begins_at_once() const { return std::holds_alternative<Distance>(when_); }
  // As people of the zone read it, `2026-03-29 03:00:00 +02:00`.
  std::string Format(absl::Time time) const;

 private:
  struct TimeOfDay {
    int minutes = 0;  // From midnight, as the clock shows them.
    absl::TimeZone zone;
    absl::Time On(absl::CivilDay day) const;
  };
  struct Distance {
    absl::Duration length;
  };
  explicit Timetable(std::variant<TimeOfDay, Distance> when) : when_(when) {}

  std::variant<TimeOfDay, Distance> when_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_TIMETABLE_H_
