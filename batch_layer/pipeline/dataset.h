#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "batch_layer/history/forgotten_users.h"
#include "batch_layer/history/history.h"
#include "batch_layer/pipeline/run_catalogue.h"
#include "common/counts/counts.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "common/user_state/user_history.h"

namespace tributary::batch {

inline constexpr uint32_t kNoItem = std::numeric_limits<uint32_t>::max();
inline constexpr uint32_t kNoSession = 0;

// An accepted event with its names as dense numbers.
struct DenseEvent {
  uint32_t user = 0;
  uint32_t item = kNoItem;
  uint32_t session = kNoSession;     // Number of its session id; equal ids have equal numbers.
  EventType kind = EventType::EVENT_TYPE_UNSPECIFIED;
  bool anonymous = false;
  DecisionKey key;                   // Event time and position.
  int64_t value_micros = 0;
};

// The history in memory, as models want it. About 60 bytes an event and the names once. Equal histories and catalogues
// give equal datasets, whatever the segments. What a FORGET hides counts in `totals`, `cut_counts`, `accepted_events` and the
// two times, names its item, and is not in the rest (batch_layer/history/forgotten_users.h).
struct Dataset {
  std::vector<std::string> users;             // By id; numbers are places.
  std::vector<int64_t> forgotten_until;       // By user: event time of the latest FORGET, ForgottenUsers::kNever without one.
  std::map<std::string, int64_t> forgotten;   // The same of those who were forgotten and are none of `users`, by digest.
  std::vector<v1::Item> items;                // By id: the catalogue's, and those that events other than adjustments name.
  std::vector<DenseEvent> events;             // By user, for each in the order of the history.
  std::vector<size_t> user_begin;             // users.size() + 1 places in `events`.
  int64_t accepted_events = 0;                // All that the history has.
  std::map<CountKey, CountAmounts> totals;    // Of all events.
  std::map<PartitionId, SegmentCounts> cut_counts;   // Of the piece of the segment that the partition's end cuts.
  int64_t first_event_time_unix_ms = 0;       // 0 without events, as below.
  int64_t last_event_time_unix_ms = 0;

  absl::Span<const DenseEvent> EventsOf(size_t user) const {
    return absl::MakeConstSpan(events).subspan(user_begin[user], user_begin[user + 1] - user_begin[user]);
  }
};

// The history must have been asked to Forget since it grew. `segment_size`: B. ResourceExhausted: more than 2^32 - 2 users, items or sessions.
absl::StatusOr<Dataset> ReadDataset(History& history, const RunCatalogue& catalogue, int64_t segment_size);

// One user's long-term state; `with_anonymous`: anonymous events too; `forgotten_until` as in Dataset. Linear in the events but
// for sorting.
UserHistory FoldUser(absl::Span<const DenseEvent> events, int64_t forgotten_until, bool with_anonymous);

// Sessions of one user's events that leave facts.
int64_t CountSessions(absl::Span<const DenseEvent> events);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_
