#ifndef TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_READ_TO_END_H_
#define TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_READ_TO_END_H_

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"

namespace tributary::batch {

struct ReadOptions {
  Isolation isolation = Isolation::kCommitted;
  absl::Duration poll_timeout = absl::Seconds(1);
  int max_idle_polls = 60;                       // In a row; then Unavailable.
  std::function<bool()> stopped = [] { return false; };
};

// Visits the records of [begin, end) of one partition, in order. A poll that is Unavailable is an idle one.
// Errors: Unavailable: too many idle polls; Cancelled: `stopped`; errors of the log and of `visit`.
absl::Status ReadToEnd(EventLog& log, const TopicPartition& partition, Offset begin, Offset end, const ReadOptions& options,
                       const std::function<absl::Status(const LogRecord&)>& visit);

// The last value of every key of a compacted topic, as of now; unset: its tombstone was there. NotFound: no such topic.
absl::StatusOr<std::map<std::string, std::optional<std::string>>> ReadCompacted(EventLog& log, const std::string& topic,
                                                                                const ReadOptions& options);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_READ_TO_END_H_
