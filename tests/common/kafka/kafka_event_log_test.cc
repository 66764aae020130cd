#include "common/kafka/kafka_event_log.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(KafkaEventLogTest, BrokersThatDoNotAnswerAreNamed) {
  v1::KafkaConfig config;
  config.set_brokers("127.0.0.1:1");  // Nothing listens on port 1.
  const absl::Status status = OpenKafka(config).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("brokers=127.0.0.1:1"));
}

TEST(KafkaEventLogTest, RefusedClientPropertiesAreNamed) {
  v1::KafkaConfig config;
  (*config.mutable_client())["security.protocol"] = "hush";
  const absl::Status status = OpenKafka(config).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("property=security.protocol"));

  v1::KafkaConfig unknown;
  (*unknown.mutable_client())["no.such.property"] = "x";
  EXPECT_TRUE(absl::IsInvalidArgument(OpenKafka(unknown).status()));
}

}  // namespace
}  // namespace tributary
