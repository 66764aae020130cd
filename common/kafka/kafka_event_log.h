#ifndef TRIBUTARY_COMMON_KAFKA_KAFKA_EVENT_LOG_H_
#define TRIBUTARY_COMMON_KAFKA_KAFKA_EVENT_LOG_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/event_log/event_log.h"
#include "tributary/v1/config.pb.h"

namespace tributary {

// Apache Kafka, by librdkafka. Waits up to five seconds for a broker to answer.
//
// Settings: `config.client` is given to librdkafka last, so it wins over ours (security, compression, buffers ...).
//           Our own: acks of all in-sync replicas, idempotent producers, a millisecond of lingering (none in a transaction), transactions of
//           at most 10 s, bounded queues.
// Limits:   admin calls and offset queries wait at most 10 s, commits and aborts 10 s for each of a few attempts.
// Logs:     librdkafka's own lines go to glog, an equal cause at most once a minute.
// Errors:   Unavailable names the brokers that did not answer; InvalidArgument names the client property that was refused.
absl::StatusOr<std::unique_ptr<EventLog>> OpenKafka(const v1::KafkaConfig& config);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_KAFKA_KAFKA_EVENT_LOG_H_
