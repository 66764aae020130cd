#include "speed_layer/speed_metrics.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tributary::speed {
namespace {

constexpr double kSecondsBounds[] = {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};

MetricLabels Labels(PartitionId partition) { return {{"partition", absl::StrCat(Value(partition))}}; }

}  // namespace

SpeedMetrics::SpeedMetrics(MetricsRegistry& registry)
    : applied(registry.AddCounter("tributary_speed_events_total", "Events read and decided on")),
      accepted(registry.AddCounter("tributary_speed_accepted_events_total", "Events accepted")),
      duplicates(registry.AddCounter("tributary_speed_duplicate_events_total", "Events dropped as repeats")),
      late(registry.AddCounter("tributary_speed_late_events_total", "Accepted events later than the allowed lateness")),
      commits(registry.AddCounter("tributary_speed_commits_total", "Transactions committed")),
      aborts(
          registry.AddCounter("tributary_speed_aborts_total", "Transactions aborted or in doubt, and applied again")),
      restores(registry.AddCounter("tributary_speed_restores_total", "Partitions restored")),
      kept(registry.AddCounter("tributary_speed_kept_partitions_total",
                               "Partitions that a rebalance left here and that went on without being restored")),
      gaps(registry.AddCounter("tributary_speed_gaps_total", "Partitions that lost events to retention unread")),
      retries(registry.AddCounter("tributary_speed_retries_total", "Failures that were retried")),
      left_out(registry.AddCounter("tributary_speed_dead_letters_without_original_total",
                                   "Dead letters whose original bytes were too large for the topic")),
      spills(registry.AddCounter("tributary_speed_spills_total", "Users moved to the local store")),
      loads(registry.AddCounter("tributary_speed_loads_total", "Users that came back from the local store")),
      spill_failures(registry.AddCounter("tributary_speed_spill_failures_total",
                                         "Attempts to move users to the local store that failed")),
      over_budget_bytes(registry.AddGauge("tributary_speed_over_budget_bytes",
                                          "Memory that users take beyond the budget when the local store fails")),
      checkpoint_seconds(registry.AddHistogram("tributary_speed_checkpoint_seconds",
                                               "From the start of a checkpoint to its commit", kSecondsBounds)),
      restore_seconds(registry.AddHistogram("tributary_speed_restore_seconds",
                                            "From an assignment to the first event of a partition", kSecondsBounds)),
      registry_(registry) {
  for (int cause = v1::RejectCause_MIN; cause <= v1::RejectCause_MAX; ++cause) {
    if (!v1::RejectCause_IsValid(cause) || cause == v1::REJECT_CAUSE_UNSPECIFIED) continue;
    const auto value = static_cast<v1::RejectCause>(cause);
    rejected_[value] = &registry.AddCounter("tributary_speed_rejected_events_total", "Events refused, by cause",
                                            {{"cause", absl::AsciiStrToLower(v1::RejectCause_Name(value))}});
  }
}

Counter& SpeedMetrics::Rejected(v1::RejectCause cause) { return *rejected_.at(cause); }

Gauge& SpeedMetrics::LagEvents(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_lag_events", "Offsets between the end of a partition and what is applied",
                            Labels(partition));
}

Gauge& SpeedMetrics::LagSeconds(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_lag_seconds", "Age of the last applied event while there are more",
                            Labels(partition));
}

Gauge& SpeedMetrics::Users(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_users", "Users in memory", Labels(partition));
}

Gauge& SpeedMetrics::StateBytes(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_state_bytes", "Memory that users and open counts take", Labels(partition));
}

Gauge& SpeedMetrics::SpilledUsers(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_spilled_users", "Users in the local store", Labels(partition));
}

Gauge& SpeedMetrics::Restoring(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_restoring", "1 while a partition is being restored", Labels(partition));
}

Gauge& SpeedMetrics::RestoreProgress(PartitionId partition) {
  return registry_.AddGauge("tributary_speed_restore_progress_ratio", "Share of a partition's state that was read back",
                            Labels(partition));
}

}  // namespace tributary::speed
