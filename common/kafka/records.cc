// Records and settings that several of the clients share.
#include <librdkafka/rdkafka.h>

#include <algorithm>

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
          {"queued.min.messages", "20000"},
          {"queued.max.messages.kbytes", "32768"}};
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

LogRecord ToRecord(const rd_kafka_message_t& message) {
  LogRecord record;
  record.source = {rd_kafka_topic_name(message.rkt), PartitionId{message.partition}};
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
  return record;
}

absl::Status Send(rd_kafka_t* handle, const ProduceRecord& record, void* opaque) {
  const std::string what =
      absl::StrCat("record not written: topic=", record.topic,
                   record.partition ? absl::StrCat(" partition=", Value(*record.partition)) : std::string());
  size_t bytes = record.key.size() + (record.value ? record.value->size() : 0);
  for (const auto& [name, value] : record.headers) {
    bytes += name.size() + value.size();
  }
  if (bytes > kMaxLogRecordBytes) {
    return absl::InvalidArgumentError(absl::StrCat(what, " bytes=", bytes, " limit=", kMaxLogRecordBytes));
  }
  rd_kafka_headers_t* headers = nullptr;
  if (!record.headers.empty()) {
    headers = rd_kafka_headers_new(record.headers.size());
    for (const auto& [name, value] : record.headers) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
    }
  }
  // An empty value is not a tombstone: librdkafka tells them apart by the pointer.
  const void* value = record.value ? record.value->data() : nullptr;
  const size_t value_bytes = record.value ? record.value->size() : 0;
  const void* key = record.key.empty() ? nullptr : record.key.data();
  const int32_t partition = record.partition ? Value(*record.partition) : RD_KAFKA_PARTITION_UA;
  const rd_kafka_resp_err_t error = rd_kafka_producev(
      handle, RD_KAFKA_V_TOPIC(record.topic.c_str()), RD_KAFKA_V_PARTITION(partition),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, record.key.size()),
      RD_KAFKA_V_VALUE(const_cast<void*>(value), value_bytes), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque),
      RD_KAFKA_V_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (headers != nullptr) {
      rd_kafka_headers_destroy(headers);
    }
    return ToStatus(error, what);
  }
  return absl::OkStatus();
}

}  // namespace tributary::kafka
