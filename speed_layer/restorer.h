#ifndef TRIBUTARY_SPEED_LAYER_RESTORER_H_
#define TRIBUTARY_SPEED_LAYER_RESTORER_H_

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"
#include "speed_layer/partition_restore.h"

namespace tributary::speed {

// Reads the committed state of partitions back, any number side by side and a bounded piece a call, so that other
// partitions keep flowing.
//
// A partition is done when the committed reader of its `speed-views` and of its `live-counts` has reached the end (the
// high watermark) that these topics had after the assignment. Reaching it means that every transaction which was open
// then has ended: markers reach the two topics at different times, and only so both show the same last commit. Threads:
// not thread-safe.
class Restorer {
 public:
  // The arguments are borrowed and must outlive this.
  Restorer(EventLog& log, const PartitionSettings& settings) : log_(log), settings_(settings) {}

  // Begins (anew) with a partition that was just assigned.
  void Begin(PartitionId partition);
  void Cancel(PartitionId partition);
  bool idle() const { return jobs_.empty(); }

  // Goes on, waiting at most `timeout` for something to read; the partitions that are done, which are forgotten here.
  // After a failure the unfinished ones begin anew with the next call. DataLoss: a record of the state is unreadable.
  absl::StatusOr<std::vector<std::pair<PartitionId, PartitionRestore>>> Poll(absl::Duration timeout, int max_events);

 private:
  struct Job {
    PartitionRestore restore;
    bool started = false;
    std::map<TopicPartition, Offset> behind;  // What is still to be read, and up to where.
  };

  absl::Status Start(PartitionId partition, Job& job);
  absl::Status Read(absl::Duration timeout, int max_events);
  void BeginAllAnew();

  EventLog& log_;
  const PartitionSettings& settings_;
  std::unique_ptr<LogReader> reader_;  // While there are jobs.
  std::map<PartitionId, Job> jobs_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_RESTORER_H_
