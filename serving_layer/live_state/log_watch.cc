#include "serving_layer/live_state/log_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::serving {

void LogWatch::RunOnce() {
  Generation generation{};
  {
    EpochGuard guard;
    generation = context_.context().generation();
  }
  const absl::Time now = clock_.Now();
  const bool requested = requested_.exchange(false, std::memory_order_acq_rel);
  // The clock may jump: back counts as passed, so that nothing waits for the time to come again.
  const bool due = now < asked_at_ || now - asked_at_ >= options_.interval;
  if (!due && !requested && generation == checked_generation_) {
    return;
  }
  asked_at_ = now;
  Finding finding{.asked_at = now, .requested = requested};
  finding.answered = Ask(&finding);
  if (finding.answered.ok()) {
    checked_generation_ = finding.generation;
  }
  MutexLock lock(mutex_);
  finding.requested |= found_.has_value() && found_->requested;  // Nobody took it: this one is the answer to both.
  found_ = std::move(finding);
}

std::optional<LogWatch::Finding> LogWatch::Take() {
  MutexLock lock(mutex_);
  return std::exchange(found_, std::nullopt);
}

absl::Status LogWatch::Ask(Finding* finding) const {
  for (const std::string& topic : options_.followed_topics) {
    TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log_.PartitionCount(topic));
    finding->partitions.push_back(partitions);
  }
  std::map<PartitionId, Offset> counted = CountedUpTo(&finding->generation);  // Before the ends, which only grow.
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log_.PartitionCount(options_.events_topic));
  for (int p = 0; p < partitions; ++p) {
    counted.try_emplace(PartitionId{p});
  }
  for (const auto& [partition, offset] : counted) {
    Offset end{};   // Of a partition that is not there.
    if (Value(partition) < partitions) {
      TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range,
                                 log_.Offsets({options_.events_topic, partition}, Isolation::kCommitted));
      end = range.end;
      finding->events_ends[partition] = end;
    }
    if (end < offset && finding->recreated.ok()) {
      finding->recreated = absl::FailedPreconditionError(absl::StrCat(
          "events topic was recreated, the snapshot and the live views speak of another one: topic=",
          options_.events_topic, " partition=", Value(partition), " end=", Value(end),
          " counted_up_to=", Value(offset), " generation=", Value(finding->generation)));
    }
  }
  return absl::OkStatus();
}

std::map<PartitionId, Offset> LogWatch::CountedUpTo(Generation* generation) const {
  std::map<PartitionId, Offset> counted;
  EpochGuard guard;
  const std::vector<LivePartitionState>& live = live_.partitions().partitions;
  for (size_t p = 0; p < live.size(); ++p) {
    counted[PartitionId{static_cast<int32_t>(p)}] = live[p].applied();
  }
  const ServingContext& context = context_.context();
  *generation = context.generation();
  if (context.snapshot != nullptr) {
    for (const v1::PartitionWatermark& watermark : context.snapshot->reader().manifest().watermarks()) {
      Offset& offset = counted[PartitionId{watermark.partition()}];
      offset = std::max(offset, Offset{watermark.watermark()});
    }
  }
  return counted;
}

}  // namespace tributary::serving
