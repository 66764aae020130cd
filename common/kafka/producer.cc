// Writes single records.
#include <librdkafka/rdkafka.h>

#include <optional>

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

  absl::StatusOr<EventPosition> Produce(ProduceRecord record, absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    TRIBUTARY_RETURN_IF_ERROR(client_->LearnTopic(record.topic));
    awaited_ = ++last_ticket_;
    answer_.reset();
    TRIBUTARY_RETURN_IF_ERROR(Send(client_->get(), record, Ticket(awaited_)));
    while (!answer_) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) {
        awaited_ = 0;
        TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
        return absl::UnavailableError(absl::StrCat("record not acknowledged in time: topic=", record.topic,
                                                   " timeout=", absl::FormatDuration(timeout)));
      }
      rd_kafka_poll(client_->get(), Milliseconds(left));
    }
    awaited_ = 0;
    return *std::exchange(answer_, std::nullopt);
  }

  absl::Status ProduceAsync(ProduceRecord record) override {
    rd_kafka_poll(client_->get(), 0);
    if (absl::Status status = client_->LearnTopic(record.topic); !status.ok()) {
      first_failure_.Update(status);
      return absl::OkStatus();
    }
    return Send(client_->get(), record, nullptr);
  }

  absl::Status Flush(absl::Duration timeout) override {
    const rd_kafka_resp_err_t error = rd_kafka_flush(client_->get(), Milliseconds(timeout));
    TRIBUTARY_RETURN_IF_ERROR(std::exchange(first_failure_, absl::OkStatus()));
    TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
    return ToStatus(error, absl::StrCat("records not acknowledged in time: records=", rd_kafka_outq_len(client_->get())));
  }

 private:
  static void* Ticket(uintptr_t number) { return reinterpret_cast<void*>(number); }

  void OnDelivered(const rd_kafka_message_t& message) {
    absl::StatusOr<EventPosition> result = EventPosition{PartitionId{message.partition}, Offset{message.offset}};
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      result = ToStatus(message.err, absl::StrCat("record not written: topic=", rd_kafka_topic_name(message.rkt),
                                                  " partition=", message.partition));
    }
    if (awaited_ != 0 && message._private == Ticket(awaited_)) {
      answer_ = std::move(result);
    } else if (message._private == nullptr) {
      first_failure_.Update(result.status());
    }
  }

  std::unique_ptr<Client> client_;
  uintptr_t last_ticket_ = 0;
  uintptr_t awaited_ = 0;                                  // 0: no Produce waits.
  std::optional<absl::StatusOr<EventPosition>> answer_;    // To that one.
  absl::Status first_failure_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer(const v1::KafkaConfig& config) {
  auto producer = std::make_unique<Producer>();
  TRIBUTARY_RETURN_IF_ERROR(producer->Open(config));
  return producer;
}

}  // namespace tributary::kafka
