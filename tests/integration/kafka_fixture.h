#ifndef TRIBUTARY_TESTS_INTEGRATION_KAFKA_FIXTURE_H_
#define TRIBUTARY_TESTS_INTEGRATION_KAFKA_FIXTURE_H_

#include <memory>
#include <string>

#include "common/event_log/event_log.h"
#include "tributary/v1/config.pb.h"

namespace tributary {

// A real Kafka for one test, and a topic prefix that no other test has.
//
// The broker is that of the environment variable TRIBUTARY_TEST_BROKER (host:port), which tests/run.sh sets. Without it
// the first fixture of a process starts a broker by deploy/kafka/kafka.sh; it ends with the process. Without any broker
// the process fails: a test that needs Kafka does not pass for want of it.
class KafkaFixture {
 public:
  KafkaFixture();

  // brokers and topic_prefix are set.
  const v1::KafkaConfig& config() const { return config_; }
  EventLog& log() { return *log_; }

 private:
  v1::KafkaConfig config_;
  std::unique_ptr<EventLog> log_;
};

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_INTEGRATION_KAFKA_FIXTURE_H_
