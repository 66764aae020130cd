#include "batch_layer/kafka_range/kafka_range.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "batch_layer/kafka_range/read_to_end.h"
#include "common/event/event.h"
#include "common/event/recent_ids.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr int64_t kRecordsPerProgress = 1024;

// Reads one partition from the end of its history to `end`.
class PartitionPass {
 public:
  // `progress`: of all partitions; `done` and `accepted` are moved on.
  PartitionPass(const KafkaRangeOptions& options, History& history, PartitionReport& report, RangeProgress& progress)
      : options_(options),
        history_(history),
        report_(report),
        progress_(progress),
        before_(progress),
        segment_begin_(report.begin) {}

  absl::Status Run(EventLog& log) {
    record_time_ = history_.End(report_.partition).record_time_unix_ms;
    TRIBUTARY_RETURN_IF_ERROR(RestoreIds());
    TRIBUTARY_RETURN_IF_ERROR(ReadToEnd(
        log, {options_.topic, report_.partition}, report_.begin, report_.end,
        {Isolation::kCommitted, options_.poll_timeout, options_.max_idle_polls, options_.stopped},
        [this](const LogRecord& record) { return Take(record); }));
    TRIBUTARY_RETURN_IF_ERROR(Append(report_.end));
    ShowProgress(report_.end);
    return absl::OkStatus();
  }

 private:
  absl::Status RestoreIds() {
    HistoryScan tail;
    tail.columns.user_id = true;
    tail.columns.event_id_hash = true;
    tail.partition = report_.partition;
    tail.min_record_time_unix_ms = record_time_ - kDedupWindowMs;
    return history_.Scan(tail, [this](const HistoryEvent& event) {
      if (event.event.event_id_hash != 0) {
        ids_[event.event.user_id].Add(event.event.event_id_hash, event.record_time_unix_ms);
      }
      return absl::OkStatus();
    });
  }

  absl::Status Take(const LogRecord& record) {
    if (++taken_ % kRecordsPerProgress == 0) {
      ShowProgress(record.offset);
    }
    record_time_ = std::max(record_time_, record.append_time_unix_ms);
    std::variant<Event, Rejection> parsed = ParseEvent(record.value ? *record.value : "", record_time_);
    if (std::holds_alternative<Rejection>(parsed)) {
      ++report_.rejected;
      return absl::OkStatus();
    }
    Event& event = std::get<Event>(parsed);
    if (event.event_id_hash != 0) {
      RecentIds& ids = ids_[event.user_id];
      if (ids.Contains(event.event_id_hash, record_time_)) {
        ++report_.duplicates;
        return absl::OkStatus();
      }
      ids.Add(event.event_id_hash, record_time_);
    }
    ++report_.accepted;
    pending_.push_back({{report_.partition, record.offset}, record_time_, std::move(event)});
    return pending_.size() >= options_.events_per_segment ? Append(Next(record.offset)) : absl::OkStatus();
  }

  absl::Status Append(Offset end) {
    TRIBUTARY_RETURN_IF_ERROR(history_.Append({report_.partition, segment_begin_, end, record_time_, pending_}));
    pending_.clear();
    segment_begin_ = end;
    absl::erase_if(ids_, [this](const auto& user) { return user.second.Expired(record_time_); });
    return absl::OkStatus();
  }

  void ShowProgress(Offset position) {
    progress_.done = before_.done + Value(position) - Value(report_.begin);
    progress_.accepted = before_.accepted + report_.accepted;
    options_.on_progress(progress_);
  }

  const KafkaRangeOptions& options_;
  History& history_;
  PartitionReport& report_;
  RangeProgress& progress_;
  const RangeProgress before_;  // Of the partitions before this one.
  Offset segment_begin_;
  int64_t taken_ = 0;
  int64_t record_time_ = 0;
  absl::flat_hash_map<std::string, RecentIds> ids_;
  std::vector<HistoryEvent> pending_;
};

}  // namespace

absl::StatusOr<std::vector<PartitionReport>> ReadKafkaRange(EventLog& log, const KafkaRangeOptions& options,
                                                            History& history) {
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log.PartitionCount(options.topic));
  // All ends first: the snapshot is of one moment, as near as may be.
  std::vector<PartitionReport> reports(static_cast<size_t>(partitions));
  for (int i = 0; i < partitions; ++i) {
    PartitionReport& report = reports[static_cast<size_t>(i)];
    report.partition = PartitionId{i};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log.Offsets({options.topic, report.partition}, Isolation::kCommitted));
    const PartitionEnd known = history.End(report.partition);
    if (range.end < known.offset) {
      return absl::FailedPreconditionError(absl::StrCat(
          "topic ends below its history: it was deleted and made anew; start a new history: topic=", options.topic,
          " partition=", i, " end=", Value(range.end), " history_end=", Value(known.offset)));
    }
    report.begin = std::max(known.offset, range.begin);
    report.lost = Value(report.begin) - Value(known.offset);
    report.end = std::max(range.end, report.begin);
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange whole,
                               log.Offsets({options.topic, report.partition}, Isolation::kUncommitted));
    report.exhausted = whole.end <= report.end;
  }
  for (const v1::HistorySegment& segment : history.manifest().segments()) {
    if (segment.partition() >= partitions) {
      return absl::FailedPreconditionError(
          absl::StrCat("topic has fewer partitions than its history: it was deleted and made anew: topic=", options.topic,
                       " partitions=", partitions, " history_partition=", segment.partition()));
    }
  }
  RangeProgress progress;
  for (const PartitionReport& report : reports) {
    progress.all += Value(report.end) - Value(report.begin);
  }
  for (PartitionReport& report : reports) {
    if (report.lost > 0) {
      LOG(WARNING) << "history: events were lost to retention before they were read: topic=" << options.topic
                   << " partition=" << Value(report.partition) << " offsets=" << report.lost
                   << " first_left=" << Value(report.begin) << "; run more often or retain longer";
      TRIBUTARY_RETURN_IF_ERROR(history.RecordGap(report.partition, report.begin));
    }
    if (report.begin < report.end) {
      TRIBUTARY_RETURN_IF_ERROR(PartitionPass(options, history, report, progress).Run(log));
    }
  }
  return reports;
}

}  // namespace tributary::batch
