// Writes single records.
#include <librdkafka/rdkafka.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"

namespace tributary::kafka {
namespace {

class Producer final : public LogProducer {
 public:
  absl::Status Open(const v1::KafkaConfig& config) {
    Settings settings = ProducerSettings();
    settings.emplace_back("message.timeout.ms", absl::StrCat(Milliseconds(kDeliveryTimeout)));
    TRIBUTARY_ASSIGN_OR_RETURN(
        client_, Client::Open(config, RD_KAFKA_PRODUCER, settings,
                              {.delivered = [this](const rd_kafka_message_t& message) { OnDelivered(message); }}));
    return absl::OkStatus();
  }

  // What is still under way is told that it is not waited for any more.
  ~Producer() override {
    if (client_ != nullptr) {
      rd_kafka_purge(client_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      rd_kafka_flush(client_->get(), Milliseconds(kRequestTimeout));
    }
  }

  absl::StatusOr<EventPosition> Produce(ProduceRecord record, absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    const std::string topic = record.topic;
    const auto answer = std::make_shared<std::optional<absl::StatusOr<EventPosition>>>();  // It may come too late.
    ProduceThen(std::move(record), [answer](absl::StatusOr<EventPosition> result) { *answer = std::move(result); });
    while (!answer->has_value() && absl::Now() < deadline) {
      Deliver(deadline - absl::Now());
    }
    if (answer->has_value()) {
      return **answer;
    }
    TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
    return absl::UnavailableError(
        absl::StrCat("record not acknowledged in time: topic=", topic, " timeout=", absl::FormatDuration(timeout)));
  }

  void ProduceThen(ProduceRecord record, Done done) override {
    const absl::StatusOr<rd_kafka_topic_t*> topic = client_->LearnTopic(record.topic);
    absl::Status sent = topic.status();
    if (sent.ok()) {
      auto waiting = std::make_unique<Done>(std::move(done));
      sent = Send(client_->get(), *topic, record, waiting.get());
      if (sent.ok()) {
        waiting.release();  // OnDelivered takes it.
        return;
      }
      done = std::move(*waiting);
    }
    done(std::move(sent));
  }

  void Deliver(absl::Duration timeout) override { rd_kafka_poll(client_->get(), Milliseconds(timeout)); }

  absl::Status ProduceAsync(ProduceRecord record) override {
    rd_kafka_poll(client_->get(), 0);
    const absl::StatusOr<rd_kafka_topic_t*> topic = client_->LearnTopic(record.topic);
    if (!topic.ok()) {
      first_failure_.Update(topic.status());
      return absl::OkStatus();
    }
    return Send(client_->get(), *topic, record, nullptr);
  }

  absl::Status Flush(absl::Duration timeout) override {
    const rd_kafka_resp_err_t error = rd_kafka_flush(client_->get(), Milliseconds(timeout));
    TRIBUTARY_RETURN_IF_ERROR(std::exchange(first_failure_, absl::OkStatus()));
    TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
    return ToStatus(error, absl::StrCat("records not acknowledged in time: records=", rd_kafka_outq_len(client_->get())));
  }

 private:
  void OnDelivered(const rd_kafka_message_t& message) {
    absl::StatusOr<EventPosition> result = EventPosition{PartitionId{message.partition}, Offset{message.offset}};
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      result = ToStatus(message.err, absl::StrCat("record not written: topic=", rd_kafka_topic_name(message.rkt),
                                                  " partition=", message.partition));
    }
    if (const std::unique_ptr<Done> done(static_cast<Done*>(message._private)); done != nullptr) {
      (*done)(std::move(result));
    } else {
      first_failure_.Update(result.status());  // Of ProduceAsync.
    }
  }

  std::unique_ptr<Client> client_;
  absl::Status first_failure_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer(const v1::KafkaConfig& config) {
  auto producer = std::make_unique<Producer>();
  TRIBUTARY_RETURN_IF_ERROR(producer->Open(config));
  return producer;
}

}  // namespace tributary::kafka
