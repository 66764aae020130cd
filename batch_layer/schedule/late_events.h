#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_LATE_EVENTS_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_LATE_EVENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "batch_layer/kafka_range/read_to_end.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"

namespace tributary::batch {

// How many events lie in the topic `late-events` since some offsets. Offsets alone do not say: each transaction of the
// speed layer takes one more. A copy is written after its event, so what is there before a run begins is in what the
// run reads.
//
// Threads: one. Errors: those of the log; after one the log is opened anew by the next call.
class LateEvents {
 public:
  using Offsets = std::map<PartitionId, Offset>;
  using OpenLog = std::function<absl::StatusOr<std::shared_ptr<EventLog>>()>;

  // Opens the log when it is first asked. `topic`: its full name. `read.stopped` ends a call with Cancelled.
  LateEvents(OpenLog open, std::string topic, ReadOptions read);

  // Counts from these offsets on; a partition that is missing from its beginning.
  void StartAt(Offsets from);
  // The number of them, or some number greater than `enough`. Goes on where the last call ended. A topic that does not
  // exist has none.
  absl::StatusOr<int64_t> Count(int64_t enough);
  // Where the topic ends now.
  absl::StatusOr<Offsets> Ends();

 private:
  absl::StatusOr<std::map<PartitionId, OffsetRange>> Ranges();
  absl::Status CountTo(PartitionId partition, const OffsetRange& range, int64_t enough);

  const OpenLog open_;
  const std::string topic_;
  const ReadOptions read_;
  std::shared_ptr<EventLog> log_;
  Offsets position_;
  int64_t count_ = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_LATE_EVENTS_H_
