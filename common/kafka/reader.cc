// Reads given partitions, without a group.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"

namespace tributary::kafka {
namespace {

constexpr absl::Duration kWakeTimeout = absl::Milliseconds(100);

class Reader final : public LogReader {
 public:
  explicit Reader(std::unique_ptr<Client> client)
      : client_(std::move(client)), queue_(rd_kafka_queue_new(client_->get())) {}
  ~Reader() override {
    for (const TopicPartition& partition : started_) {
      rd_kafka_consume_stop(topics_.at(partition.topic).get(), Value(partition.partition));
    }
  }

  absl::Status Start(const TopicPartition& partition, Offset from) override {
    if (started_.contains(partition)) {
      TRIBUTARY_RETURN_IF_ERROR(Stop(partition));
    }
    const int32_t number = Value(partition.partition);
    if (number < 0 || number >= known_partitions_[partition.topic]) {
      TRIBUTARY_ASSIGN_OR_RETURN(known_partitions_[partition.topic], PartitionCount(client_->get(), partition.topic));
      if (number < 0 || number >= known_partitions_[partition.topic]) {
        return absl::NotFoundError(absl::StrCat("no such partition: ", Name(partition)));
      }
    }
    if (Value(from) < 0) {
      return absl::InvalidArgumentError(absl::StrCat("not an offset: ", Name(partition), " offset=", Value(from)));
    }
    TopicPtr& topic = topics_[partition.topic];
    if (topic == nullptr) {
      topic.reset(rd_kafka_topic_new(client_->get(), partition.topic.c_str(), nullptr));
    }
    if (topic == nullptr || rd_kafka_consume_start_queue(topic.get(), number, Value(from), queue_.get()) != 0) {
      return ToStatus(rd_kafka_last_error(),
                      absl::StrCat("partition not started: ", Name(partition), " offset=", Value(from)));
    }
    started_.insert(partition);
    return absl::OkStatus();
  }

  absl::Status Stop(const TopicPartition& partition) override {
    if (started_.erase(partition) == 0) {
      return absl::NotFoundError(absl::StrCat("partition is not read: ", Name(partition)));
    }
    // What was fetched and not polled is dropped with it.
    if (rd_kafka_consume_stop(topics_.at(partition.topic).get(), Value(partition.partition)) != 0) {
      return ToStatus(rd_kafka_last_error(), absl::StrCat("partition not stopped: ", Name(partition)));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) override {
    if (!deferred_.ok()) {
      return std::exchange(deferred_, absl::OkStatus());
    }
    rd_kafka_poll(client_->get(), 0);  // Serves the error callback.
    std::vector<LogEvent> events;
    const std::vector<MessagePtr> messages = NextMessages(queue_.get(), timeout, max_events);
    waker_.Took(client_->get(), messages, max_events);
    events.reserve(messages.size());
    for (const MessagePtr& message : messages) {
      deferred_.Update(AppendEvent(*message, &events));
    }
    if (events.empty()) {
      TRIBUTARY_RETURN_IF_ERROR(std::exchange(deferred_, absl::OkStatus()));
      TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
      TRIBUTARY_RETURN_IF_ERROR(client_->TakeBrokersDown());
    }
    return events;
  }

 private:
  const std::unique_ptr<Client> client_;
  const QueuePtr queue_;
  std::map<std::string, TopicPtr> topics_;
  std::map<std::string, int> known_partitions_;
  std::set<TopicPartition> started_;
  FetchWaker waker_;
  absl::Status deferred_;   // Comes after the events that were read with it.
};

}  // namespace

std::vector<MessagePtr> NextMessages(rd_kafka_queue_t* queue, absl::Duration timeout, int max_messages) {
  // librdkafka waits until the batch is full, and a caller wants the first record when it is there: so one record with
  // the timeout, and then what else there is.
  std::vector<rd_kafka_message_t*> raw(static_cast<size_t>(std::max(max_messages, 1)));
  ssize_t count = rd_kafka_consume_batch_queue(queue, 0, raw.data(), raw.size());
  if (count <= 0 && timeout > absl::ZeroDuration()) {
    count = rd_kafka_consume_batch_queue(queue, Milliseconds(timeout), raw.data(), 1);
    if (count == 1 && raw.size() > 1) {
      count += std::max<ssize_t>(0, rd_kafka_consume_batch_queue(queue, 0, raw.data() + 1, raw.size() - 1));
    }
  }
  std::vector<MessagePtr> messages;
  messages.reserve(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  for (ssize_t i = 0; i < count; ++i) {
    messages.emplace_back(raw[static_cast<size_t>(i)]);
  }
  return messages;
}

void FetchWaker::Took(rd_kafka_t* handle, const std::vector<MessagePtr>& messages, int max_messages) {
  const bool is_full = messages.size() >= static_cast<size_t>(max_messages);
  const bool ran_dry = was_full_ && !is_full && !messages.empty();
  was_full_ = is_full;
  if (!ran_dry) {
    return;
  }
  const rd_kafka_message_t& last = *messages.back();
  if (last.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return;  // The end of a partition: there is no more.
  }
  int64_t begin = 0;
  int64_t end = 0;
  (void)rd_kafka_query_watermark_offsets(handle, rd_kafka_topic_name(last.rkt), last.partition, &begin, &end,
                                         Milliseconds(kWakeTimeout));
}

absl::Status AppendEvent(const rd_kafka_message_t& message, std::vector<LogEvent>* events) {
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    AppendRecord(message, events);
    return absl::OkStatus();
  }
  const TopicPartition source = {message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt),
                                 PartitionId{message.partition}};
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    events->push_back(EndOfPartition{source, Offset{message.offset}});
    return absl::OkStatus();
  }
  absl::Status status =
      ToStatus(message.err, absl::StrCat("partition not read: ", Name(source), " offset=", message.offset),
               message.payload == nullptr ? "" : rd_kafka_message_errstr(&message));
  // librdkafka tries again by itself what may pass, and says so in the log.
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const v1::KafkaConfig& config, Isolation isolation) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<Client> client,
                             Client::Open(config, RD_KAFKA_CONSUMER, ConsumerSettings(isolation), {}));
  return std::make_unique<Reader>(std::move(client));
}

}  // namespace tributary::kafka
