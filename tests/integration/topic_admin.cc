#include "tests/integration/topic_admin.h"

#include <librdkafka/rdkafka.h>

#include <functional>

#include "glog/logging.h"

namespace tributary {
namespace {

constexpr int kTimeoutMs = 30'000;

// What became of the one topic or partition that was asked for.
void CheckResult(rd_kafka_event_t* answer) {
  if (const auto* truncated = rd_kafka_event_DeleteRecords_result(answer)) {
    const rd_kafka_topic_partition_list_t* list = rd_kafka_DeleteRecords_result_offsets(truncated);
    CHECK_EQ(list->cnt, 1);
    CHECK_EQ(list->elems[0].err, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(list->elems[0].err);
    return;
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results = nullptr;
  if (const auto* created = rd_kafka_event_CreatePartitions_result(answer)) {
    results = rd_kafka_CreatePartitions_result_topics(created, &count);
  } else if (const auto* deleted = rd_kafka_event_DeleteTopics_result(answer)) {
    results = rd_kafka_DeleteTopics_result_topics(deleted, &count);
  }
  CHECK_EQ(count, 1u);
  CHECK_EQ(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR)
      << rd_kafka_topic_result_error_string(results[0]);
}

void Ask(const std::string& brokers, const std::function<void(rd_kafka_t*, rd_kafka_queue_t*)>& question) {
  char reason[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  CHECK_EQ(rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), reason, sizeof(reason)), RD_KAFKA_CONF_OK)
      << reason;
  rd_kafka_t* handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
  CHECK(handle != nullptr) << reason;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(handle);
  question(handle, queue);
  rd_kafka_event_t* answer = rd_kafka_queue_poll(queue, kTimeoutMs);
  CHECK(answer != nullptr) << "the broker does not answer";
  CHECK_EQ(rd_kafka_event_error(answer), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(answer);
  CheckResult(answer);
  rd_kafka_event_destroy(answer);
  rd_kafka_queue_destroy(queue);
  rd_kafka_destroy(handle);
}

}  // namespace

void AddPartitions(const std::string& brokers, const std::string& topic, int partitions_in_all) {
  Ask(brokers, [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
    char reason[512];
    rd_kafka_NewPartitions_t* added =
        rd_kafka_NewPartitions_new(topic.c_str(), static_cast<size_t>(partitions_in_all), reason, sizeof(reason));
    CHECK(added != nullptr) << reason;
    rd_kafka_CreatePartitions(handle, &added, 1, nullptr, queue);
    rd_kafka_NewPartitions_destroy(added);
  });
}

void DeleteTopic(const std::string& brokers, const std::string& topic) {
  Ask(brokers, [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
    rd_kafka_DeleteTopic_t* deleted = rd_kafka_DeleteTopic_new(topic.c_str());
    rd_kafka_DeleteTopics(handle, &deleted, 1, nullptr, queue);
    rd_kafka_DeleteTopic_destroy(deleted);
  });
}

void TruncateBefore(const std::string& brokers, const TopicPartition& partition, Offset offset) {
  Ask(brokers, [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition.topic.c_str(), Value(partition.partition))->offset = Value(offset);
    rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(handle, &request, 1, nullptr, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
  });
}

}  // namespace tributary
