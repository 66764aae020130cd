#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_RETENTION_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_RETENTION_H_

#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"

// Which snapshots are kept? The decision alone; batch_layer/pipeline/lifecycle.h carries it out.
namespace tributary::batch {

// A snapshot of the directory, as retention sees it.
struct StoredSnapshot {
  Generation generation{};
  bool in_use = false;   // Current, or what replicas serve that have not swapped to the current one yet.
  bool refused = false;  // By the gate.
  bool retired = false;  // Announced RETIRED by a run that died before it deleted the files: nobody may use it again.
};

// At least 1 each.
struct RetentionLimits {
  int good = 0;
  int refused = 0;
};

// The generations that go, in the order of `snapshots`, which may be any:
//   1. What is in use stays.
//   2. Of the others, what was retired goes.
//   3. Of those that the gate let pass, in use or not, the newest `good` stay.
//   4. Of those that it refused, the newest `refused` stay. They count apart: no number of bad nights takes the place
//      of what can be rolled back to.
// Pure.
std::vector<Generation> ToRetire(absl::Span<const StoredSnapshot> snapshots, const RetentionLimits& limits);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_RETENTION_H_
