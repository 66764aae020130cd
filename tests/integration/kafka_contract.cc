#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "tests/common/event_log/event_log_contract.h"
#include "tests/integration/kafka_fixture.h"

namespace tributary {
namespace {

class KafkaContractLog final : public ContractLog {
 public:
  EventLog& log() override { return kafka_.log(); }
  std::string Name(absl::string_view name) override { return absl::StrCat(kafka_.config().topic_prefix(), name); }

  // The interface has no such thing, so by librdkafka.
  void TruncateBefore(const TopicPartition& partition, Offset offset) override {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char reason[512];
    CHECK_EQ(rd_kafka_conf_set(conf, "bootstrap.servers", kafka_.config().brokers().c_str(), reason, sizeof(reason)),
             RD_KAFKA_CONF_OK);
    rd_kafka_t* handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    CHECK(handle != nullptr) << reason;
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition.topic.c_str(), Value(partition.partition))->offset = Value(offset);
    rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(handle);
    rd_kafka_DeleteRecords(handle, &request, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 20'000);
    CHECK(event != nullptr && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) << "records not deleted";
    const rd_kafka_topic_partition_list_t* result =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    CHECK_EQ(result->elems[0].err, RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
  }

  // Its reader is gone, so the broker finds out by itself within the session timeout.
  void ExpireMember(const std::string&, const std::string&) override {}

  absl::Duration poll_timeout() const override { return absl::Milliseconds(50); }
  absl::Duration session_timeout() const override { return absl::Seconds(2); }

 private:
  KafkaFixture kafka_;
};

}  // namespace

std::unique_ptr<ContractLog> MakeContractLog() { return std::make_unique<KafkaContractLog>(); }

}  // namespace tributary
