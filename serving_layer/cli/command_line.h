#ifndef TRIBUTARY_SERVING_LAYER_CLI_COMMAND_LINE_H_
#define TRIBUTARY_SERVING_LAYER_CLI_COMMAND_LINE_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "serving_layer/cli/client.h"
#include "tributary/v1/config.pb.h"

namespace tributary::serving {

// What the command answers to the shell.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;         // Something broke: damaged files, an internal error, not built yet.
inline constexpr int kExitUsage = 2;          // The command line or the configuration is wrong.
inline constexpr int kExitRefused = 3;        // Asked for what is not there or not allowed; the message names the field.
inline constexpr int kExitUnavailable = 4;    // Server or Kafka did not answer: try again.
inline constexpr int kExitNotVisible = 5;     // The event was written, but no answer rested on it in time.

// The world of a command, so that tests can give another one.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  const Clock& clock;
  std::function<void(absl::Time)> sleep_until;
  std::function<std::unique_ptr<ServingClient>(const std::string& server)> connect;
  std::function<absl::StatusOr<std::unique_ptr<EventLog>>(const v1::KafkaConfig&)> open_log;
};

// Runs `tributary` with these arguments (without the program's name); answers the exit code. Results go to `out`; an error
// is one line on `err`.
int RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_COMMAND_LINE_H_
