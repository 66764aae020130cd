#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_MEMORY_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "batch_layer/pipeline/event_store.h"
#include "tributary/v1/config.pb.h"

// What a run needs of memory, before it takes it. Estimates from counts, meant to lie above what is measured (bench `batch`
// has a peak beside the estimate).
namespace tributary::batch {

struct RunSize {
  int64_t events = 0;
  int64_t users = 0;
  int64_t items = 0;
  int64_t observations = 0;        // At most one a user and item.
  int64_t sessions = 0;            // Of two events or more.
};

struct MemoryPlan {
  int64_t bytes = 0;               // At the peak.
  size_t events_in_memory = 0;     // EventStore::Options::in_memory.
};

// Names, sessions, and the models with the observations that they learn from.
int64_t LearningBytes(const RunSize& size, const v1::BatchConfig& config);

// All events in memory where the budget has room for them, or there is none; else slices of an eighth of it.
// ResourceExhausted: it needs more than the budget even so; the message says how much.
absl::StatusOr<MemoryPlan> PlanMemory(const RunSize& size, const v1::BatchConfig& config);

// ResourceExhausted when learning needs more than the budget: for when the sizes are known.
absl::Status CheckLearningFits(const RunSize& size, const v1::BatchConfig& config);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_MEMORY_H_
