#ifndef TRIBUTARY_SPEED_LAYER_SPEED_METRICS_H_
#define TRIBUTARY_SPEED_LAYER_SPEED_METRICS_H_

#include <map>

#include "common/ids/ids.h"
#include "common/metrics/metrics.h"
#include "tributary/v1/dead_letter.pb.h"

namespace tributary::speed {

// The metrics of one instance of the speed layer. The registry is borrowed and must outlive this.
class SpeedMetrics {
 public:
  explicit SpeedMetrics(MetricsRegistry& registry);

  Counter& Rejected(v1::RejectCause cause);
  // Of one partition, while it is assigned.
  Gauge& LagEvents(PartitionId partition);
  Gauge& LagSeconds(PartitionId partition);
  Gauge& Users(PartitionId partition);
  Gauge& StateBytes(PartitionId partition);
  Gauge& SpilledUsers(PartitionId partition);
  // 1 while the partition is being restored, else 0.
  Gauge& Restoring(PartitionId partition);
  // What share of it was read back, in [0, 1].
  Gauge& RestoreProgress(PartitionId partition);

  Counter& applied;  // Events taken in, whatever came of them.
  Counter& accepted;
  Counter& duplicates;
  Counter& late;
  Counter& commits;
  Counter& aborts;    // Transactions that ended otherwise; their events were applied again.
  Counter& restores;  // Partitions.
  Counter& kept;      // Partitions that a rebalance gave back to this instance, with their state.
  Counter& gaps;      // Partitions that lost events to retention.
  Counter& retries;   // Failures that were retried.
  Counter& left_out;  // Dead letters whose original bytes did not fit through the broker.
  Counter& spills;    // Users moved to the local store.
  Counter& loads;     // Users that came back.
  Counter& spill_failures;
  Gauge& over_budget_bytes;  // What users take beyond the budget, since the store cannot take them.
  Histogram& checkpoint_seconds;
  Histogram& restore_seconds;

 private:
  MetricsRegistry& registry_;
  std::map<v1::RejectCause, Counter*> rejected_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_SPEED_METRICS_H_
