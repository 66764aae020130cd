#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_COMPACTION_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_COMPACTION_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "tributary/v1/history.pb.h"

namespace tributary::batch {

// Which files of a history are too small, and go well together.
struct CompactionLimits {
  int64_t file_bytes = 0;     // What a file may grow to; one of half of it and more stays as it is.
  int min_files = 0;          // At least 2: fewer that follow each other are not worth the writing.
  // Files go together only when their record times lie in the same span, counted from the epoch: what is to expire must not
  // end in one file with what is young. Zero: one span.
  absl::Duration span;
};

// Groups of segments (places in `manifest.segments()`, ascending offsets) that one file each can take the place of: of one
// partition, following each other, each group with at least `min_files` files; segments without a file that lie between are
// in it. When every group has been replaced by one segment, asked again and again, the answer becomes empty.
std::vector<std::vector<int>> PlanCompaction(const v1::HistoryManifest& manifest, const CompactionLimits& limits);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_COMPACTION_H_
