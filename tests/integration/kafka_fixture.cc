#include "tests/integration/kafka_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/kafka_event_log.h"
#include "glog/logging.h"

namespace tributary {
namespace {

// Starts a broker that ends, with its data, when this process does.
std::string StartBroker() {
  const char* script = getenv("TRIBUTARY_KAFKA_SH");
  std::string folder = (std::filesystem::temp_directory_path() / "tributary-kafka-XXXXXX").string();
  CHECK(mkdtemp(folder.data()) != nullptr) << "no temporary folder";
  const std::string command =
      absl::StrCat("'", script == nullptr ? TRIBUTARY_SOURCE_DIR "/deploy/kafka/kafka.sh" : script, "' --dir '", folder,
                   "' --port 0 --owner ", getpid(), " start");
  FILE* pipe = popen(command.c_str(), "r");
  CHECK(pipe != nullptr) << command;
  std::string address;
  char buffer[256];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    absl::StrAppend(&address, buffer);
  }
  CHECK_EQ(pclose(pipe), 0) << "no Kafka to test with: " << command;
  absl::StripAsciiWhitespace(&address);
  CHECK(!address.empty()) << "no address from: " << command;
  return address;
}

const std::string& Broker() {
  static const std::string& address = *new std::string([] {
    const char* given = getenv("TRIBUTARY_TEST_BROKER");
    return given == nullptr || *given == '\0' ? StartBroker() : std::string(given);
  }());
  return address;
}

}  // namespace

KafkaFixture::KafkaFixture() {
  static std::atomic<int> count{0};
  config_.set_brokers(Broker());
  // Test binaries run side by side, and again with the same broker.
  config_.set_topic_prefix(absl::StrCat("t", getpid(), "-", absl::ToUnixMicros(absl::Now()), "-", ++count, "."));
  absl::StatusOr<std::unique_ptr<EventLog>> log = OpenKafka(config_);
  CHECK(log.ok()) << log.status();
  log_ = *std::move(log);
}

}  // namespace tributary
