#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "batch_layer/history/forgotten_users.h"
#include "batch_layer/history/history.h"
#include "batch_layer/pipeline/event_store.h"
#include "batch_layer/pipeline/run_catalogue.h"
#include "common/counts/counts.h"
#include "common/ids/ids.h"
#include "common/user_state/user_history.h"

namespace tributary::batch {

// The history as models want it: names once, and the events by user. Equal histories and catalogues give equal datasets,
// whatever the segments, and wherever the events lie. What a FORGET hides counts in `totals`, `cut_counts`, `accepted_events`
// and the two times, names its item, and is not in the rest (batch_layer/history/forgotten_users.h).
struct Dataset {
  std::vector<std::string> users;             // By id; numbers are places.
  std::vector<int64_t> forgotten_until;       // By user: event time of the latest FORGET, ForgottenUsers::kNever without one.
  std::map<std::string, int64_t> forgotten;   // The same of those who were forgotten and are none of `users`, by digest.
  std::vector<v1::Item> items;                // By id: the catalogue's, and those that events other than adjustments name.
  EventStore events;                          // By user, for each in the order of the history.
  int64_t accepted_events = 0;                // All that the history has.
  std::map<CountKey, CountAmounts> totals;    // Of all events.
  std::map<PartitionId, SegmentCounts> cut_counts;   // Of the piece of the segment that the partition's end cuts.
  int64_t first_event_time_unix_ms = 0;       // 0 without events, as below.
  int64_t last_event_time_unix_ms = 0;
};

// The history must have been asked to Forget since it grew. `segment_size`: B. ResourceExhausted: more than 2^32 - 2 users or
// items, or the disk is full.
absl::StatusOr<Dataset> ReadDataset(History& history, const RunCatalogue& catalogue, int64_t segment_size,
                                    EventStore::Options events = {});

// One user's long-term state; `with_anonymous`: anonymous events too; `forgotten_until` as in Dataset. Linear in the events but
// for sorting.
UserHistory FoldUser(absl::Span<const DenseEvent> events, int64_t forgotten_until, bool with_anonymous);

// Sessions of one user's events that leave facts.
int64_t CountSessions(absl::Span<const DenseEvent> events);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_DATASET_H_
