#ifndef TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_KAFKA_RANGE_H_
#define TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_KAFKA_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch_layer/history/history.h"
#include "batch_layer/kafka_range/progress.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"

namespace tributary::batch {

struct KafkaRangeOptions {
  std::string topic;
  size_t events_per_segment = 500'000;              // Of history; bounds memory and what a kill costs.
  absl::Duration poll_timeout = absl::Seconds(1);
  int max_idle_polls = 60;                          // Without a record or an answer, in a row, then Unavailable.
  std::function<bool()> stopped = [] { return false; };   // Asked between polls; true ends the reading with Cancelled.
  // Told every thousand or so records, and when a partition ends. Of what this call reads.
  std::function<void(const RangeProgress&)> on_progress = [](const RangeProgress&) {};
};

struct PartitionReport {
  PartitionId partition{};
  Offset begin{};                  // Where this run began to read.
  Offset end{};                    // The last stable offset when the run started: W of the snapshot.
  bool exhausted = false;          // Nothing followed it then, in open transactions neither.
  int64_t accepted = 0;
  int64_t rejected = 0;            // The speed layer dead-letters them.
  int64_t duplicates = 0;
  int64_t lost = 0;                // Offsets that retention took before they were read.
};

// Brings the history up to the last stable offsets that every partition has now. Acceptance is that of the speed layer, a
// function of the log alone: ids for deduplication come from the history's last 24 h of record time.
// What was appended stays when it fails or is killed; the next call goes on from there.
// Errors: FailedPrecondition: a partition ends below its history: the topic was made anew; NotFound: no such topic;
// Unavailable: the broker gives nothing any more.
absl::StatusOr<std::vector<PartitionReport>> ReadKafkaRange(EventLog& log, const KafkaRangeOptions& options,
                                                            History& history);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_KAFKA_RANGE_H_
