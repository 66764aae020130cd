#include "batch_layer/kafka_range/read_to_end.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int kEventsPerPoll = 10'000;

}  // namespace

absl::Status ReadToEnd(EventLog& log, const TopicPartition& partition, Offset begin, Offset end, const ReadOptions& options,
                       const std::function<absl::Status(const LogRecord&)>& visit) {
  if (begin >= end) {
    return absl::OkStatus();
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogReader> reader, log.OpenReader(options.isolation));
  TRIBUTARY_RETURN_IF_ERROR(reader->Start(partition, begin));
  int idle = 0;
  absl::Status last_failure;
  for (;;) {
    if (options.stopped()) {
      return absl::CancelledError("stopped while reading");
    }
    absl::StatusOr<std::vector<LogEvent>> events = reader->Poll(options.poll_timeout, kEventsPerPoll);
    if (!events.ok()) {
      if (!absl::IsUnavailable(events.status())) {
        return events.status();
      }
      last_failure = events.status();
      events = std::vector<LogEvent>();
    }
    if (events->empty()) {
      if (++idle >= options.max_idle_polls) {
        return absl::UnavailableError(absl::StrCat("log gives nothing any more: topic=", partition.topic, " partition=",
                                                   Value(partition.partition), " polls=", idle, " ", last_failure.message()));
      }
      continue;
    }
    idle = 0;
    for (const LogEvent& event : *events) {
      if (const LogRecord* record = std::get_if<LogRecord>(&event)) {
        if (record->offset >= end) {
          return absl::OkStatus();
        }
        TRIBUTARY_RETURN_IF_ERROR(visit(*record));
        if (Next(record->offset) >= end) {
          return absl::OkStatus();
        }
      } else if (const EndOfPartition* at_end = std::get_if<EndOfPartition>(&event)) {
        // The last offsets may be markers of transactions, which are no records.
        if (at_end->position >= end) {
          return absl::OkStatus();
        }
      }
    }
  }
}

absl::StatusOr<std::map<std::string, std::optional<std::string>>> ReadCompacted(EventLog& log, const std::string& topic,
                                                                                const ReadOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log.PartitionCount(topic));
  std::map<std::string, std::optional<std::string>> values;
  for (int i = 0; i < partitions; ++i) {
    const TopicPartition partition{topic, PartitionId{i}};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log.Offsets(partition, options.isolation));
    TRIBUTARY_RETURN_IF_ERROR(ReadToEnd(log, partition, range.begin, range.end, options, [&values](const LogRecord& record) {
      values[record.key] = record.value;
      return absl::OkStatus();
    }));
  }
  return values;
}

}  // namespace tributary::batch
