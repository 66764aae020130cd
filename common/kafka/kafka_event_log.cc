#include "common/kafka/kafka_event_log.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

namespace tributary {
namespace {

// Thread-safe as librdkafka's handles are.
class KafkaEventLog final : public EventLog {
 public:
  explicit KafkaEventLog(const v1::KafkaConfig& config) : config_(config) {}

  absl::Status Open() {
    TRIBUTARY_ASSIGN_OR_RETURN(committed_, OpenAsker(Isolation::kCommitted));
    const rd_kafka_metadata_t* answer = nullptr;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(committed_->get(), /*all_topics=*/0, nullptr, &answer,
                          kafka::Milliseconds(kafka::kConnectTimeout));
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return kafka::ToStatus(error, absl::StrCat("Kafka does not answer: brokers=", kafka::Brokers(config_), " timeout=",
                                                 absl::FormatDuration(kafka::kConnectTimeout)));
    }
    rd_kafka_metadata_destroy(answer);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(Isolation isolation) override {
    return kafka::OpenReader(config_, isolation);
  }
  absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const GroupReaderOptions& options) override {
    return kafka::JoinGroup(config_, options);
  }
  absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer() override { return kafka::OpenProducer(config_); }
  absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(
      const std::string& transactional_id) override {
    return kafka::OpenTransactionalProducer(config_, transactional_id);
  }
  absl::Status CreateTopics(absl::Span<const TopicOptions> topics) override {
    return kafka::CreateTopics(committed_->get(), topics);
  }
  absl::StatusOr<int> PartitionCount(const std::string& topic) override {
    return kafka::PartitionCount(committed_->get(), topic);
  }
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TopicConfig(const std::string& topic) override {
    return kafka::TopicConfig(committed_->get(), topic);
  }

  absl::StatusOr<OffsetRange> Offsets(const TopicPartition& partition, Isolation isolation) override {
    TRIBUTARY_ASSIGN_OR_RETURN(rd_kafka_t* const handle, Asker(isolation));
    int64_t begin = 0;
    int64_t end = 0;
    const absl::Time limit = absl::Now() + kafka::kRequestTimeout;
    const auto ask = [&] {
      return rd_kafka_query_watermark_offsets(handle, partition.topic.c_str(), Value(partition.partition), &begin, &end,
                                              kafka::Milliseconds(limit - absl::Now()));
    };
    rd_kafka_resp_err_t error = ask();
    if (error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && kafka::PartitionCount(handle, partition.topic).ok()) {
      error = ask();      // What this client knew was older than the partition; now it has looked.
    }
    while (LeaderIsMoving(error) && absl::Now() < limit) {
      absl::SleepFor(kafka::kLeaderPause);
      error = ask();
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return kafka::ToStatus(error, absl::StrCat("offsets not read: ", kafka::Name(partition)));
    }
    return OffsetRange{Offset{begin}, Offset{end}};
  }

 private:
  // A partition that was just made, or whose leader died, has no leader for a moment; metadata may name it too early.
  static bool LeaderIsMoving(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
  }
  absl::StatusOr<std::unique_ptr<kafka::Client>> OpenAsker(Isolation isolation) const {
    return kafka::Client::Open(config_, RD_KAFKA_CONSUMER, kafka::ConsumerSettings(isolation), {});
  }
  // What a broker calls the end of a partition depends on the isolation of the client that asks.
  absl::StatusOr<rd_kafka_t*> Asker(Isolation isolation) {
    if (isolation == Isolation::kCommitted) {
      return committed_->get();
    }
    MutexLock lock(mutex_);
    if (uncommitted_ == nullptr) {
      TRIBUTARY_ASSIGN_OR_RETURN(uncommitted_, OpenAsker(isolation));
    }
    return uncommitted_->get();
  }

  const v1::KafkaConfig config_;
  std::unique_ptr<kafka::Client> committed_;
  Mutex mutex_;
  std::unique_ptr<kafka::Client> uncommitted_ ABSL_GUARDED_BY(mutex_);   // Opened when first needed.
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> OpenKafka(const v1::KafkaConfig& config) {
  auto log = std::make_unique<KafkaEventLog>(config);
  TRIBUTARY_RETURN_IF_ERROR(log->Open());
  return log;
}

}  // namespace tributary
