// Writes single records.
#include <librdkafka/rdkafka.h>

#include <optional>
#include <utility>
#include <vector>

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
    std::vector<ProduceRecord> one;
    one.push_back(std::move(record));
    return ProduceAll(std::move(one), timeout).front();
  }

  std::vector<absl::StatusOr<EventPosition>> ProduceAll(std::vector<ProduceRecord> records,
                                                        absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    first_awaited_ = last_ticket_ + 1;
    last_ticket_ += records.size();
    answers_.assign(records.size(), std::nullopt);
    unanswered_ = records.size();
    for (size_t i = 0; i < records.size(); ++i) {
      absl::Status sent = client_->LearnTopic(records[i].topic);
      if (sent.ok()) {
        sent = Send(client_->get(), records[i], Ticket(first_awaited_ + i));
      }
      if (!sent.ok()) {
        Answer(i, std::move(sent));
      }
    }
    while (unanswered_ > 0 && absl::Now() < deadline) {
      rd_kafka_poll(client_->get(), Milliseconds(deadline - absl::Now()));
    }
    std::vector<absl::StatusOr<EventPosition>> results;
    results.reserve(records.size());
    for (size_t i = 0; i < records.size(); ++i) {
      results.push_back(answers_[i] ? *std::move(answers_[i]) : NotInTime(records[i], timeout));
    }
    answers_.clear();  // What comes for these later is not waited for.
    return results;
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
    const auto ticket = reinterpret_cast<uintptr_t>(message._private);
    if (ticket == 0) {
      first_failure_.Update(result.status());
    } else if (ticket >= first_awaited_ && ticket - first_awaited_ < answers_.size()) {
      Answer(ticket - first_awaited_, std::move(result));
    }
  }

  void Answer(size_t i, absl::StatusOr<EventPosition> result) {
    if (!answers_[i]) {
      answers_[i] = std::move(result);
      --unanswered_;
    }
  }

  absl::Status NotInTime(const ProduceRecord& record, absl::Duration timeout) {
    TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
    return absl::UnavailableError(absl::StrCat("record not acknowledged in time: topic=", record.topic,
                                               " timeout=", absl::FormatDuration(timeout)));
  }

  std::unique_ptr<Client> client_;
  uintptr_t last_ticket_ = 0;
  uintptr_t first_awaited_ = 0;                                         // Of the running ProduceAll.
  std::vector<std::optional<absl::StatusOr<EventPosition>>> answers_;   // To its records; empty: none runs.
  size_t unanswered_ = 0;
  absl::Status first_failure_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer(const v1::KafkaConfig& config) {
  auto producer = std::make_unique<Producer>();
  TRIBUTARY_RETURN_IF_ERROR(producer->Open(config));
  return producer;
}

}  // namespace tributary::kafka
