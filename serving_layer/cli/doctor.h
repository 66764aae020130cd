#ifndef TRIBUTARY_SERVING_LAYER_CLI_DOCTOR_H_
#define TRIBUTARY_SERVING_LAYER_CLI_DOCTOR_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "tributary/v1/config.pb.h"

namespace tributary::serving {

// What one look at an installation found.
struct Finding {
  enum class Grade { kOk, kWarning, kError };
  Grade grade = Grade::kOk;
  std::string check;     // Short, one word.
  std::string detail;    // One line.
};

// Looks at Kafka and the snapshots directory, and changes nothing:
//   topics     all that the layers use are there; `events`, `speed-views` and `live-counts` have equally many partitions
//   timestamps every topic has message.timestamp.type=LogAppendTime: record time is the broker's, or acceptance is not a
//              function of the log
//   compaction topics that hold state are compacted, `events` is not
//   retention  no partition of `events` begins above W of the current snapshot (events between were lost to the next batch
//              run), none ends below it (the topic was made anew), and the speed layer read all that was written
//   scattered  users whose live views lie on more than one partition: repeats are only known within one
// One finding a check at least. `speed-views` is read to its end: in time and memory linear in the live users.
// Errors: as of EventLog, when Kafka does not answer; what is missing is a finding.
absl::StatusOr<std::vector<Finding>> Examine(const v1::Config& config, EventLog& log, const Clock& clock);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_DOCTOR_H_
