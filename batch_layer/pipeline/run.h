#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "batch_layer/history/history.h"
#include "batch_layer/kafka_range/kafka_range.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/gate.pb.h"
#include "tributary/v1/snapshot.pb.h"

// One batch run: history up to the last stable offsets, models, a snapshot, its activation.
namespace tributary::batch {

struct RunOptions {
  bool activate = true;                              // Else the snapshot is written, judged and retained only.
  bool force = false;                                // Activates outside the gate's limits too, but nothing damaged.
  std::function<bool()> stopped = [] { return false; };
  // For people: called when a step is done, with what came of it.
  std::function<void(absl::string_view step, absl::Duration took, absl::string_view result)> on_step;
  std::function<void(const RangeProgress&)> on_progress = [](const RangeProgress&) {};  // Of the reading from Kafka.
  std::function<void(absl::Duration)> sleep;         // The grace before old generations are deleted.
  size_t events_in_memory = 0;                       // More go through the disk; 0: as batch.memory_budget_bytes has it.
  absl::Duration poll_timeout = absl::Seconds(1);    // As of KafkaRangeOptions, as the next one.
  int max_idle_polls = 60;
};

struct RunReport {
  v1::SnapshotManifest manifest;
  std::vector<PartitionReport> partitions;           // Empty without Kafka.
  v1::GateVerdict verdict;
  bool activated = false;                            // Not when the verdict is REFUSED.
  std::vector<Generation> removed;                   // Old generations.
};

CompactionLimits CompactionLimitsOf(const v1::BatchConfig& config);

// `config`: complete and valid. `log`: null without Kafka, then only the history as it is counts; W is where it ends.
// One run at a time over a snapshots directory, whatever its history: it first removes what killed runs left there, and
// lets the gate judge a generation that one of them wrote and did not judge.
//
// The same history, catalogue, configuration (but for threads), seed, build and instruction set give the same content
// digest. The new snapshot is read back, every byte, and judged by the gate; a refused one is kept and is no error.
// When the run fails nothing half-written is visible; what was read into the history stays.
//
// Errors: Aborted: another run holds the snapshots directory; Unavailable: Kafka; ResourceExhausted: disk or memory;
// FailedPrecondition: topic and history do not match; DataLoss: the history or the new snapshot is damaged; Cancelled:
// `stopped`.
absl::StatusOr<RunReport> RunBatch(const v1::Config& config, const RunOptions& options, History& history, EventLog* log,
                                   const Clock& clock);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_H_
