#include "serving_layer/cli/command_line.h"

#include "absl/strings/str_replace.h"
#include "common/config/config.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"

namespace tributary::serving {
namespace {

int ExitCode(const Session& session) {
  if (session.usage_error) {
    return kExitUsage;
  }
  switch (session.status.code()) {
    case absl::StatusCode::kOk:
      return session.not_visible ? kExitNotVisible : kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    default:
      return kExitFailed;
  }
}

}  // namespace

absl::StatusOr<v1::Config> Session::LoadConfiguration() {
  absl::StatusOr<v1::Config> config = LoadConfig(config_path, overrides);
  usage_error = !config.ok();
  return config;
}

absl::StatusOr<std::unique_ptr<ServingClient>> Session::Connect() {
  if (!server.empty()) {
    return environment.connect(server);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, LoadConfiguration());
  return environment.connect(config.serving().listen_address());
}

absl::StatusOr<std::unique_ptr<EventLog>> Session::OpenLog(const v1::Config& config) {
  return environment.open_log(config.kafka());
}

void Session::Print(const google::protobuf::Message& message, absl::string_view text) {
  environment.out << (json ? FormatJson(message) : std::string(text));
}

int RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment) {
  Session session{.environment = environment};
  CLI::App app("Asks and operates a Tributary recommendation server.", "tributary");
  app.require_subcommand(1);
  app.fallthrough();   // Global flags may stand after the subcommand too.
  app.add_option("--server", session.server, "host:port of tributary-serving; default: the configuration's");
  app.add_option("--config", session.config_path, "configuration file (protobuf text format); default: the defaults");
  app.add_option("--set", session.overrides,
                 "a piece of configuration laid over the file, such as 'kafka { brokers: \"h:9092\" }'")
      ->allow_extra_args(false);
  app.add_flag("--json", session.json, "print JSON for machines");
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused (the message names the field),\n"
             "4 server or Kafka unavailable, 5 written but not visible in time.");
  AddQueryCommands(app, session);
  AddAnalyticsCommands(app, session);
  AddUserCommands(app, session);
  AddPublishCommand(app, session);
  AddCatalogueCommands(app, session);
  AddLogCommands(app, session);
  AddDeadLetterCommands(app, session);
  AddSnapshotCommands(app, session);

  // CLI11 reads a vector from its end.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error, environment.out, environment.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  if (!session.status.ok()) {
    environment.err << "tributary: " << absl::StrReplaceAll(session.status.message(), {{"\n", " "}}) << "\n";
  }
  return ExitCode(session);
}

}  // namespace tributary::serving
