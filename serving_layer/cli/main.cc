#include <iostream>

#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/kafka/kafka_event_log.h"
#include "glog/logging.h"
#include "serving_layer/cli/client.h"
#include "serving_layer/cli/command_line.h"

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_FATAL;   // What went wrong is said in one line of our own.
  using namespace tributary;  // NOLINT(google-build-using-namespace)
  constexpr absl::Duration kCallTimeout = absl::Seconds(15);   // Longer than the longest wait that a request may ask for.
  const serving::Environment environment{
      .out = std::cout,
      .err = std::cerr,
      .clock = SystemClock(),
      .sleep_until = [](absl::Time time) { absl::SleepFor(time - absl::Now()); },
      .connect = [](const std::string& server) { return serving::ConnectToServer(server, kCallTimeout); },
      .open_log = OpenKafka};
  return serving::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), environment);
}
