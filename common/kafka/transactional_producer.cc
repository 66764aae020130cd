// Writes records in transactions.
#include <librdkafka/rdkafka.h>

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"

namespace tributary::kafka {
namespace {

// How often an operation is tried that the broker may do later (each try has its own time limit), and the pause before
// the second try; it doubles, with jitter.
constexpr int kMaxAttempts = 5;
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
// How long Produce waits for room in the queue.
constexpr absl::Duration kQueueTimeout = kTransactionTimeout;

class Transactions final : public TransactionalProducer {
 public:
  explicit Transactions(std::string id) : id_(std::move(id)) {}

  absl::Status Open(const v1::KafkaConfig& config) {
    Settings settings = ProducerSettings();
    settings.emplace_back("transactional.id", id_);
    settings.emplace_back("transaction.timeout.ms", absl::StrCat(Milliseconds(kTransactionTimeout)));
    settings.emplace_back("message.timeout.ms", absl::StrCat(Milliseconds(kTransactionTimeout)));
    settings.emplace_back("delivery.report.only.error", "true");
    settings.emplace_back("linger.ms", "0");  // Produce promises so; who writes much gathers it.
    TRIBUTARY_ASSIGN_OR_RETURN(
        client_, Client::Open(config, RD_KAFKA_PRODUCER, settings,
                              {.delivered = [this](const rd_kafka_message_t& message) { OnDelivered(message); }}));
    return Try("producer not opened:", [&] {
      return rd_kafka_init_transactions(client_->get(), Milliseconds(kTransactionTimeout));
    });
  }

  absl::Status Begin() override {
    TRIBUTARY_RETURN_IF_ERROR(Usable());
    if (open_) {
      return absl::InvalidArgumentError(absl::StrCat("a transaction is open already: transactional_id=", id_));
    }
    TRIBUTARY_RETURN_IF_ERROR(
        Try("transaction not begun:", [&] { return rd_kafka_begin_transaction(client_->get()); }));
    open_ = true;
    failure_ = absl::OkStatus();
    return absl::OkStatus();
  }

  absl::Status Produce(ProduceRecord record) override {
    TRIBUTARY_RETURN_IF_ERROR(Opened());
    if (topic_ == nullptr || record.topic != topic_name_) {
      absl::StatusOr<rd_kafka_topic_t*> learnt = client_->LearnTopic(record.topic);
      if (!learnt.ok()) {
        failure_.Update(learnt.status());
        return Usable();
      }
      topic_name_ = record.topic;
      topic_ = *learnt;
    }
    absl::Status status = Send(client_->get(), topic_, record, nullptr);
    if (absl::IsResourceExhausted(status)) {
      const absl::Time deadline = absl::Now() + kQueueTimeout;
      do {
        rd_kafka_poll(client_->get(), 5);  // Until the broker has taken some.
        status = Send(client_->get(), topic_, record, nullptr);
      } while (absl::IsResourceExhausted(status) && absl::Now() < deadline);
    }
    if (!status.ok()) {
      failure_.Update(status);
      return Usable();
    }
    return absl::OkStatus();
  }

  absl::Status Commit(absl::Span<const std::pair<TopicPartition, Offset>> consumed,
                      const GroupMembership& membership) override {
    TRIBUTARY_RETURN_IF_ERROR(Usable());
    TRIBUTARY_RETURN_IF_ERROR(Opened());
    const auto* own = dynamic_cast<const Membership*>(&membership);
    if (own == nullptr && !consumed.empty()) {
      return absl::InvalidArgumentError("the membership is not of this log");
    }
    rd_kafka_poll(client_->get(), 0);
    absl::Status status = failure_;
    if (!status.ok()) {
      status = absl::AbortedError(status.message());
    }
    if (status.ok() && !consumed.empty()) {
      const ListPtr offsets(rd_kafka_topic_partition_list_new(static_cast<int>(consumed.size())));
      for (const auto& [partition, offset] : consumed) {
        rd_kafka_topic_partition_list_add(offsets.get(), partition.topic.c_str(), Value(partition.partition))->offset =
            Value(offset);
      }
      status = Try("positions not committed:", [&] {
        return rd_kafka_send_offsets_to_transaction(client_->get(), offsets.get(), own->metadata.get(),
                                                    Milliseconds(kTransactionTimeout));
      });
    }
    if (status.ok()) {
      status = Try("transaction not committed:", [&] {
        return rd_kafka_commit_transaction(client_->get(), Milliseconds(kTransactionTimeout));
      });
    }
    return Settle(std::move(status));
  }

  absl::Status Abort() override {
    TRIBUTARY_RETURN_IF_ERROR(Usable());
    TRIBUTARY_RETURN_IF_ERROR(Opened());
    const absl::Status status = AbortNow();
    open_ = !status.ok();
    broken_.Update(undelivered_);
    return status;
  }

 private:
  absl::Status Usable() const {
    TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
    if (!broken_.ok()) {
      const std::string message = absl::StrCat("the producer is of no more use: cause=", broken_.message());
      return absl::IsFailedPrecondition(broken_) ? absl::FailedPreconditionError(message) : absl::UnavailableError(message);
    }
    return absl::OkStatus();
  }
  absl::Status Opened() const {
    if (!open_) {
      return absl::InvalidArgumentError(absl::StrCat("no transaction is open: transactional_id=", id_));
    }
    return absl::OkStatus();
  }

  // The end of Commit: aborts where that is what is left, gives up the producer where the outcome is not known.
  absl::Status Settle(absl::Status status) {
    if (absl::IsAborted(status)) {
      if (absl::Status abort = AbortNow(); !abort.ok()) {
        status = std::move(abort);
      }
    } else if (!status.ok() && !absl::IsFailedPrecondition(status) && !absl::IsUnavailable(status)) {
      status = AbortNow().ok() ? absl::AbortedError(status.message()) : absl::UnavailableError(status.message());
    }
    if (!status.ok() && !absl::IsAborted(status)) {
      broken_ = status;
    } else if (!undelivered_.ok()) {
      // librdkafka 2.0 would go on with sequence numbers that the broker finds out of order.
      broken_ = undelivered_;
    }
    open_ = false;
    return status;
  }

  void OnDelivered(const rd_kafka_message_t& message) {
    const bool purged_by_abort =
        message.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR && !purged_by_abort) {
      undelivered_.Update(ToStatus(message.err, absl::StrCat("record not written: topic=", rd_kafka_topic_name(message.rkt),
                                                             " partition=", message.partition)));
    }
  }

  absl::Status AbortNow() {
    return Try("transaction not aborted:",
               [&] { return rd_kafka_abort_transaction(client_->get(), Milliseconds(kTransactionTimeout)); });
  }

  absl::Status Try(absl::string_view what, absl::FunctionRef<rd_kafka_error_t*()> operation) {
    absl::Duration pause = kFirstPause;
    for (int attempt = 1;; ++attempt) {
      const ErrorPtr error(operation());
      const absl::Status status = ToStatus(error.get(), absl::StrCat(what, " transactional_id=", id_));
      if (error == nullptr || !rd_kafka_error_is_retriable(error.get()) || attempt == kMaxAttempts) {
        return status;
      }
      absl::SleepFor(pause * absl::Uniform(random_, 0.5, 1.0));
      pause *= 2;
    }
  }

  const std::string id_;
  absl::BitGen random_;
  std::unique_ptr<Client> client_;
  std::string topic_name_;  // Of the last record: many follow each other into one topic.
  rd_kafka_topic_t* topic_ = nullptr;
  bool open_ = false;
  absl::Status failure_;       // Of a record that librdkafka did not take.
  absl::Status undelivered_;   // Of a record that the broker did not take.
  absl::Status broken_;        // Ended the use of this object.
};

}  // namespace

absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(const v1::KafkaConfig& config,
                                                                                 const std::string& transactional_id) {
  auto producer = std::make_unique<Transactions>(transactional_id);
  TRIBUTARY_RETURN_IF_ERROR(producer->Open(config));
  return producer;
}

}  // namespace tributary::kafka
