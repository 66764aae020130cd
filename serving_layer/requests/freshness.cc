#include "serving_layer/requests/freshness.h"

#include <algorithm>

#include "common/event_log/event_log.h"

namespace tributary::serving {

bool RequestView::Covers(PartitionId partition, Offset offset) const {
  const auto p = static_cast<size_t>(Value(partition));
  const Offset applied = p < live.partitions.size() ? live.partitions[p].applied() : Offset{0};
  return std::max(applied, context.Watermark(partition)) > offset;
}

void AddDegradation(v1::Degradation degradation, v1::Freshness* freshness) {
  if (std::find(freshness->degraded().begin(), freshness->degraded().end(), degradation) ==
      freshness->degraded().end()) {
    freshness->add_degraded(degradation);
  }
}

void FillFreshness(const RequestView& view, v1::Freshness* freshness) {
  if (view.context.snapshot != nullptr) {
    const v1::SnapshotManifest& manifest = view.context.snapshot->reader().manifest();
    freshness->set_generation(manifest.generation());
    if (manifest.has_created()) {
      *freshness->mutable_snapshot_created() = manifest.created();
    }
  } else {
    AddDegradation(v1::NO_SNAPSHOT, freshness);
  }
  if (!view.log_reachable) {
    AddDegradation(v1::LOG_UNREACHABLE, freshness);
  }
}

void AddPartition(const RequestView& view, PartitionId partition, v1::Freshness* freshness) {
  const auto p = static_cast<size_t>(Value(partition));
  if (p >= view.live.partitions.size()) {
    return;
  }
  const LivePartitionState& state = view.live.partitions[p];
  v1::PartitionFreshness* message = freshness->add_partitions();
  message->set_partition(Value(partition));
  message->set_watermark(Value(view.context.Watermark(partition)));
  message->set_applied_offset(Value(state.applied()));
  if (state.progress) {
    // The broker's clock may be ahead of ours.
    const absl::Duration lag = std::max(view.now - state.progress_written, absl::ZeroDuration());
    absl::Duration rest;
    message->mutable_lag()->set_seconds(absl::IDivDuration(lag, absl::Seconds(1), &rest));
    message->mutable_lag()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  }
  if (view.now - state.current() > view.stale_after) {
    AddDegradation(v1::SPEED_LAYER_STALE, freshness);
  }
  if (state.gap_end > view.context.Watermark(partition)) {
    AddDegradation(v1::HISTORY_HOLE, freshness);
  }
}

void FillFreshnessOfAll(const RequestView& view, v1::Freshness* freshness) {
  FillFreshness(view, freshness);
  for (size_t p = 0; p < view.live.partitions.size(); ++p) {
    AddPartition(view, PartitionId{static_cast<int32_t>(p)}, freshness);
  }
}

void AddUserPartitions(const RequestView& view, absl::string_view user_id, absl::Span<const LivePartition> live,
                       v1::Freshness* freshness) {
  const int count = static_cast<int>(view.live.partitions.size());
  if (count == 0 || user_id.empty()) {
    return;
  }
  const PartitionId home = PartitionOfKey(user_id, count);
  bool home_added = false;
  for (const LivePartition& partition : live) {
    if (!home_added && home <= partition.partition) {
      home_added = true;
      AddPartition(view, home, freshness);
    }
    if (partition.partition != home) {
      AddPartition(view, partition.partition, freshness);
    }
  }
  if (!home_added) {
    AddPartition(view, home, freshness);
  }
}

}  // namespace tributary::serving
