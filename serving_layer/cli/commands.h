#ifndef TRIBUTARY_SERVING_LAYER_CLI_COMMANDS_H_
#define TRIBUTARY_SERVING_LAYER_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "serving_layer/cli/command_line.h"
#include "tributary/v1/config.pb.h"

// The subcommands of `tributary`: each Add... defines its flags and what they do. Inside of command_line.cc.
namespace tributary::serving {

// What all subcommands share: the global flags and the environment.
struct Session {
  const Environment& environment;
  std::string server;
  std::string config_path;
  std::vector<std::string> overrides;
  bool json = false;
  absl::Status status;           // Of the command that ran.
  bool usage_error = false;      // `status` is about the configuration.
  bool not_visible = false;      // The command did what it should, but the freshness asked for was not reached.

  // Remembers that the configuration was refused, for the exit code.
  absl::StatusOr<v1::Config> LoadConfiguration();
  // To --server, else to the configuration's listen_address.
  absl::StatusOr<std::unique_ptr<ServingClient>> Connect();
  absl::StatusOr<std::unique_ptr<EventLog>> OpenLog(const v1::Config& config);
  // `message` as JSON with --json, else the text.
  void Print(const google::protobuf::Message& message, absl::string_view text);
};

void AddQueryCommands(CLI::App& app, Session& session);       // recommend, similar, popular, health
void AddAnalyticsCommands(CLI::App& app, Session& session);   // totals, windows, experiments
void AddUserCommands(CLI::App& app, Session& session);        // score, because, why-not, watch, forget ...
void AddPublishCommand(CLI::App& app, Session& session);      // publish
void AddCatalogueCommands(CLI::App& app, Session& session);   // items, rules
void AddLogCommands(CLI::App& app, Session& session);         // replay, topics, doctor
void AddDeadLetterCommands(CLI::App& app, Session& session);  // dead-letters
void AddSnapshotCommands(CLI::App& app, Session& session);    // snapshots

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_COMMANDS_H_
