#include "speed_layer/restorer.h"

#include <variant>

#include "common/status/status_macros.h"

namespace tributary::speed {

void Restorer::Begin(PartitionId partition) {
  Cancel(partition);
  jobs_.emplace(partition, Job{PartitionRestore(settings_, partition)});
}

void Restorer::Cancel(PartitionId partition) {
  const auto it = jobs_.find(partition);
  if (it == jobs_.end()) return;
  // A reader that was told to stop may have records in flight; a new one cannot. The others begin anew: rebalances are
  // rare.
  const bool started = it->second.started;
  jobs_.erase(it);
  if (started) BeginAllAnew();
}

absl::StatusOr<std::vector<std::pair<PartitionId, PartitionRestore>>> Restorer::Poll(absl::Duration timeout,
                                                                                     int max_events) {
  std::vector<std::pair<PartitionId, PartitionRestore>> done;
  if (jobs_.empty()) return done;
  if (absl::Status status = Read(timeout, max_events); !status.ok()) {
    BeginAllAnew();
    return status;
  }
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (it->second.behind.empty()) {
      done.emplace_back(it->first, std::move(it->second.restore));
      it = jobs_.erase(it);
    } else {
      ++it;
    }
  }
  if (jobs_.empty()) reader_.reset();
  return done;
}

absl::Status Restorer::Start(PartitionId partition, Job& job) {
  for (const std::string& topic : {settings_.topics.speed_views, settings_.topics.live_counts}) {
    const TopicPartition source{topic, partition};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(source, Isolation::kUncommitted));
    if (range.begin == range.end) continue;
    job.started = true;
    job.behind[source] = range.end;
    TRIBUTARY_RETURN_IF_ERROR(reader_->Start(source, range.begin));
  }
  job.started = true;
  return absl::OkStatus();
}

absl::Status Restorer::Read(absl::Duration timeout, int max_events) {
  if (!reader_) {
    TRIBUTARY_ASSIGN_OR_RETURN(reader_, log_.OpenReader(Isolation::kCommitted));
  }
  bool behind = false;
  for (auto& [partition, job] : jobs_) {
    if (!job.started) TRIBUTARY_RETURN_IF_ERROR(Start(partition, job));
    behind |= !job.behind.empty();
  }
  if (!behind) return absl::OkStatus();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader_->Poll(timeout, max_events));
  for (const LogEvent& event : events) {
    if (const LogRecord* record = std::get_if<LogRecord>(&event)) {
      const auto it = jobs_.find(record->source.partition);
      if (it != jobs_.end()) TRIBUTARY_RETURN_IF_ERROR(it->second.restore.Add(*record));
    } else if (const EndOfPartition* end = std::get_if<EndOfPartition>(&event)) {
      const auto it = jobs_.find(end->source.partition);
      if (it == jobs_.end()) continue;
      const auto source = it->second.behind.find(end->source);
      if (source == it->second.behind.end() || end->position < source->second) continue;
      it->second.behind.erase(source);
      TRIBUTARY_RETURN_IF_ERROR(reader_->Stop(end->source));
    }
  }
  return absl::OkStatus();
}

void Restorer::BeginAllAnew() {
  reader_.reset();
  for (auto& [partition, job] : jobs_) job = Job{PartitionRestore(settings_, partition)};
}

}  // namespace tributary::speed
