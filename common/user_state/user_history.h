#ifndef TRIBUTARY_COMMON_USER_STATE_USER_HISTORY_H_
#define TRIBUTARY_COMMON_USER_STATE_USER_HISTORY_H_

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "tributary/v1/snapshot.pb.h"

namespace tributary {

// Orders events of one user: the latest decides. Imports have partition -1 and sort first at equal times.
struct DecisionKey {
  int64_t event_time_unix_ms = 0;
  EventPosition position;
  friend auto operator<=>(const DecisionKey&, const DecisionKey&) = default;
};

// The latest event of one kind on one item.
struct Decision {
  ItemNumber item{};
  EventType kind = EventType::EVENT_TYPE_UNSPECIFIED;
  DecisionKey key;
  int64_t value_micros = 0;
  friend bool operator==(const Decision&, const Decision&) = default;
};

// The latest of the given kinds among the decisions on one item; null: none.
// LatestOf(history.Find(i), {PURCHASE, RETURN})->kind == PURCHASE: the user has it.
const Decision* LatestOf(absl::Span<const Decision> decisions, std::initializer_list<EventType> kinds);

// One user's long-term state: per item and kind the latest decision, and until when the user was forgotten.
//
// The fold and the combination are a join: associative, commutative and idempotent, so for every W and in whatever order
// events arrived, state(0..n) = Combine(state(0..W), state(W..n)). FORGET hides every decision whose event time is not
// after its own, whichever side of the seam it lies on and whenever it arrives.
// Shapes:  one flat array sorted by (item, kind); capacity is kept by Clear, so that a request allocates nothing.
// Threads: not thread-safe.
class UserHistory {
 public:
  // `item` is ignored for FORGET; an event without an item (a page view, a purchase in a category) must not be given.
  // Kinds without a long-term effect (IsLongTerm) change nothing.
  void Apply(EventType kind, ItemNumber item, const DecisionKey& key, int64_t value_micros);
  void Combine(const UserHistory& other);
  void Clear();

  bool empty() const { return decisions_.empty() && !forgotten_until_unix_ms_; }
  absl::Span<const Decision> decisions() const { return decisions_; }
  // All decisions on one item, by kind; empty: none.
  absl::Span<const Decision> Find(ItemNumber item) const;
  // Event time of the latest FORGET: everything not after it is hidden, short-term facts too.
  std::optional<int64_t> forgotten_until_unix_ms() const { return forgotten_until_unix_ms_; }

  // Replaces the content. InvalidArgument: arrays of different lengths, not sorted, or a kind that is not kept; the
  // history is empty then.
  absl::Status Assign(const v1::Profile& profile);
  // The same of decisions as an array, which is exchanged for the one that the history had.
  absl::Status Assign(std::vector<Decision>* decisions, std::optional<int64_t> forgotten_until_unix_ms);
  void ToProto(v1::Profile* profile) const;
  friend bool operator==(const UserHistory&, const UserHistory&) = default;

 private:
  void Forget(int64_t until_unix_ms);

  std::vector<Decision> decisions_;
  std::optional<int64_t> forgotten_until_unix_ms_;
};

// True for the kinds that change a UserHistory, FORGET among them.
bool IsLongTerm(EventType kind);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_USER_HISTORY_H_
