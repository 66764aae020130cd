#ifndef TRIBUTARY_TESTS_REFERENCE_REFERENCE_H_
#define TRIBUTARY_TESTS_REFERENCE_REFERENCE_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tributary/v1/event.pb.h"
#include "tributary/v1/speed.pb.h"

// The slow, plain reference: it sees all records at once, keeps all of them and answers every question by looking
// through all of them again. It shares nothing with common/ but the schemas, and knows no snapshot, no watermark and no
// state: whatever the layers do must come to the same answers. Written from the design, to be read and believed.
namespace tributary::reference {

// A record as it lies in the log, or a line of an import.
struct RawRecord {
  int32_t partition = 0;  // -1: imported.
  int64_t offset = 0;
  int64_t append_time_unix_ms = 0;  // Of an import: when it was imported.
  std::string value;                // Binary v1::Event, or proto3 JSON.
};

// Where a record lies.
struct Place {
  int32_t partition = 0;
  int64_t offset = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

enum class Verdict { kAccepted, kDuplicate, kRejected };

// What orders the decisions of a user: the latest holds.
struct When {
  int64_t event_time_unix_ms = 0;
  Place place;
  friend auto operator<=>(const When&, const When&) = default;
};

// An accepted event that says something of its user.
struct Fact {
  v1::EventType kind = v1::EVENT_TYPE_UNSPECIFIED;
  std::string item_id;
  When when;
  int64_t value_micros = 0;
  std::string session_id;
  friend bool operator==(const Fact&, const Fact&) = default;
};

struct Totals {
  int64_t events = 0;
  int64_t quantity_micros = 0;
  int64_t value_micros = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

// measure, key, type.
using TotalKey = std::tuple<v1::Measure, std::string, v1::EventType>;

// What an answer rests on: true for the places that it saw. Whether an event is accepted does not depend on it.
using Seen = std::function<bool(const Place&)>;
inline bool Everything(const Place&) { return true; }

class Reference {
 public:
  Reference() = default;
  // As Add for each.
  explicit Reference(const std::vector<RawRecord>& records);
  // Records of one partition must come by offset; the partitions may be mixed.
  void Add(const RawRecord& record);

  // The running maximum of append time of a partition that has records.
  int64_t RecordTime(int32_t partition) const { return record_times_.at(partition); }

  Verdict VerdictOf(const Place& place) const { return verdicts_.at(place); }
  const std::map<Place, Verdict>& verdicts() const { return verdicts_; }
  std::set<std::string> Users() const;
  // Accepted events that came longer after their event time.
  std::set<Place> LaterThan(int64_t lateness_ms) const;
  // Accepted events that came before their event time.
  std::set<Place> DatedAhead() const;

  // Event time of the latest FORGET.
  std::optional<int64_t> ForgottenUntil(const std::string& user, const Seen& seen = Everything) const;
  // Facts that no FORGET hides, by place.
  std::vector<Fact> Facts(const std::string& user, const Seen& seen = Everything) const;
  // Impressions that no FORGET hides, not older than 24 h of their partition's record time now, by place.
  std::vector<Fact> Impressions(const std::string& user, const Seen& seen = Everything) const;
  // Latest fact of one of `kinds` on each item, with an event time up to `at`.
  std::map<std::string, Fact> Latest(const std::string& user, const std::set<v1::EventType>& kinds, int64_t at_unix_ms,
                                     const Seen& seen = Everything) const;
  // Items bought and not given back, the purchase not before `since`.
  std::set<std::string> Bought(const std::string& user, int64_t at_unix_ms, int64_t since_unix_ms = 0,
                               const Seen& seen = Everything) const;
  // Items whose latest opinion (like, dislike, rating) is a dislike; or a rating up to `low_micros` as well.
  std::set<std::string> Disliked(const std::string& user, int64_t at_unix_ms, int64_t low_micros = -1,
                                 const Seen& seen = Everything) const;
  // How many sessions the user had, in what no FORGET hides: the session ids, and what lies more than 30 min of event time
  // apart without one.
  int64_t Sessions(const std::string& user, const Seen& seen = Everything) const;

  // Of accepted events.
  std::map<TotalKey, Totals> AllTotals(const Seen& seen = Everything) const;
  // The same by quarter-hours of event time since 1970.
  std::map<std::pair<TotalKey, int64_t>, Totals> AllWindows(const Seen& seen = Everything) const;

 private:
  struct Accepted {
    v1::Event event;
    Place place;
    int64_t record_time_unix_ms = 0;
  };
  bool IsDuplicate(const v1::Event& event, const Place& place, int64_t record_time_unix_ms) const;

  std::map<int32_t, int64_t> record_times_;  // By partition: the running maximum of append time.
  std::vector<Accepted> accepted_;
  std::map<Place, Verdict> verdicts_;
};

}  // namespace tributary::reference

#endif  // TRIBUTARY_TESTS_REFERENCE_REFERENCE_H_
