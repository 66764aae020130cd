#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_EXPIRY_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_EXPIRY_H_

#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tributary/v1/history.pb.h"

// How long the history keeps events.
//
// A file goes as a whole, when its latest record time (an import: its latest event time) is more than `keep` before the
// newest of all: of what came by the topic, where anything did, else of the imports; and not after `now`, since one row of a
// file may name any time. So a machine whose clock is ahead removes nothing that is young, and a shop that stands still keeps
// what it has.
//
// Of a partition stay, however old they are:
// - the file that its end cuts a segment of B offsets in: live counts begin there, and what a snapshot has counted of it is
//   taken off them (common/counts), so that totals are exact;
// - files of the last 24 h of its own record time: their ids refuse repeats of what comes next.
//
// A snapshot made after it rests on what is left: totals, profiles (with what they suppress) and models.
namespace tributary::batch {

// Places in `manifest.segments()`, ascending.
std::vector<int> ExpiredSegments(const v1::HistoryManifest& manifest, absl::Duration keep, absl::Time now);

// The manifest with the segments at `places` as ranges without events; such ranges that follow each other become one.
v1::HistoryManifest WithoutEvents(v1::HistoryManifest manifest, absl::Span<const int> places);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_EXPIRY_H_
