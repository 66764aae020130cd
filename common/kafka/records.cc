// Records and settings that several of the clients share.
#include <librdkafka/rdkafka.h>

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/kafka/client.h"

namespace tributary::kafka {

Settings ConsumerSettings(Isolation isolation) {
  return {{"isolation.level", isolation == Isolation::kCommitted ? "read_committed" : "read_uncommitted"},
          {"auto.offset.reset", "error"},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"enable.partition.eof", "true"},
          // A broker answers a fetch at once when there is something. A partition that is started waits for the fetch
          // that is under way, so this stays small.
          {"fetch.wait.max.ms", "20"},
          {"fetch.error.backoff.ms", "50"},
          // Once so much is waiting librdkafka 2.0 does not look for a second whether there is room again. So what
          // waits has to last for a second; the bytes bound it, and are what a reader costs while it is behind.
          {"queued.min.messages", "1000000"},
          {"queued.max.messages.kbytes", "65536"}};
}

Settings ProducerSettings() {
  return {{"enable.idempotence", "true"},
          {"acks", "all"},
          {"partitioner", "murmur2_random"},
          // None at all means a request for each record, which collapses at 10,000 records/s; below 1 ms librdkafka spins.
          {"linger.ms", "1"},
          {"retry.backoff.ms", "10"},
          {"message.max.bytes", "1048000"},  // Of a request: kMaxLogRecordBytes and its framing.
          {"queue.buffering.max.messages", "100000"},
          {"queue.buffering.max.kbytes", "131072"},
          {"topic.metadata.propagation.max.ms", "5000"}};
}

void AppendRecord(const rd_kafka_message_t& message, std::vector<LogEvent>* events) {
  LogRecord& record = std::get<LogRecord>(events->emplace_back(std::in_place_type<LogRecord>));
  record.source.topic = rd_kafka_topic_name(message.rkt);
  record.source.partition = PartitionId{message.partition};
  record.offset = Offset{message.offset};
  rd_kafka_timestamp_type_t type;
  record.append_time_unix_ms = rd_kafka_message_timestamp(&message, &type);
  if (message.key != nullptr) {
    record.key.assign(static_cast<const char*>(message.key), message.key_len);
  }
  if (message.payload != nullptr) {
    record.value.emplace(static_cast<const char*>(message.payload), message.len);
  }
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t bytes = 0;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &bytes) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
      record.headers.emplace_back(name, std::string(static_cast<const char*>(value), value == nullptr ? 0 : bytes));
    }
  }
}

namespace {

absl::Status NotWritten(rd_kafka_topic_t* topic, const ProduceRecord& record, rd_kafka_resp_err_t error,
                        absl::string_view detail) {
  return ToStatus(
      error,
      absl::StrCat("record not written: topic=", rd_kafka_topic_name(topic),
                   record.partition ? absl::StrCat(" partition=", Value(*record.partition)) : std::string()),
      detail);
}

}  // namespace

absl::Status Send(rd_kafka_t* handle, rd_kafka_topic_t* topic, const ProduceRecord& record, void* opaque) {
  size_t bytes = record.key.size() + (record.value ? record.value->size() : 0);
  for (const auto& [name, value] : record.headers) {
    bytes += name.size() + value.size();
  }
  if (bytes > kMaxLogRecordBytes) {
    return NotWritten(topic, record, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                      absl::StrCat("bytes=", bytes, " limit=", kMaxLogRecordBytes));
  }
  // An empty value is not a tombstone: librdkafka tells them apart by the pointer.
  void* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;
  const size_t value_bytes = record.value ? record.value->size() : 0;
  const void* key = record.key.empty() ? nullptr : record.key.data();
  const int32_t partition = record.partition ? Value(*record.partition) : RD_KAFKA_PARTITION_UA;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (record.headers.empty()) {
    if (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, value_bytes, key, record.key.size(), opaque) !=
        0) {
      error = rd_kafka_last_error();
    }
  } else {
    rd_kafka_headers_t* headers = rd_kafka_headers_new(record.headers.size());
    for (const auto& [name, content] : record.headers) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), content.data(),
                          static_cast<ssize_t>(content.size()));
    }
    error = rd_kafka_producev(handle, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, record.key.size()),
                              RD_KAFKA_V_VALUE(value, value_bytes), RD_KAFKA_V_HEADERS(headers),
                              RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_headers_destroy(headers);
    }
  }
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? absl::OkStatus() : NotWritten(topic, record, error, "");
}

}  // namespace tributary::kafka
