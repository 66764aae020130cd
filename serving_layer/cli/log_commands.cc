// replay, topics, doctor: work on Kafka directly.
#include <google/protobuf/struct.pb.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/event_log/topics.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/doctor.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/json_lines.h"
#include "serving_layer/cli/replay.h"

namespace tributary::serving {
namespace {

constexpr absl::Duration kProgressInterval = absl::Seconds(1);   // Of the progress of replay.

absl::Status ReplayFile(const std::string& path, ReplayOptions options, Session& session) {
  const Environment& environment = session.environment;
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  options.topic = Topics(config.kafka().topic_prefix()).events;
  TRIBUTARY_ASSIGN_OR_RETURN(std::vector<v1::Event> events, ReadJsonLines<v1::Event>(path));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  const absl::Time start = environment.clock.Now();
  absl::Time last_told = start;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<PlannedEvent> planned, PlanReplay(std::move(events), options, start));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const int64_t sent, Replay(planned, options, start, *log, environment.sleep_until, [&](int64_t so_far) {
        if (const absl::Time now = environment.clock.Now(); now - last_told >= kProgressInterval) {
          last_told = now;
          environment.err << "replay: " << so_far << " of " << planned.size() << " events sent\n";
        }
      }));
  const double seconds = absl::ToDoubleSeconds(environment.clock.Now() - start);
  if (session.json) {
    environment.out << absl::StrFormat("{\"events\":%d,\"seconds\":%.3f}\n", sent, seconds);
  } else {
    environment.out << absl::StrFormat("%d events sent in %.1f s\n", sent, seconds);
  }
  return absl::OkStatus();
}

absl::Status CreateAllTopics(Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  const std::vector<TopicOptions> topics = TopicsToCreate(Topics(config.kafka().topic_prefix()), config.kafka());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  TRIBUTARY_RETURN_IF_ERROR(log->CreateTopics(topics));
  std::vector<std::vector<std::string>> rows;
  for (const TopicOptions& topic : topics) {
    if (session.json) {
      session.environment.out << "{\"topic\":\"" << topic.name << "\",\"partitions\":" << topic.partitions << "}\n";
    }
    rows.push_back({topic.name, absl::StrCat(topic.partitions), topic.compacted ? "compacted" : "by age"});
  }
  if (!session.json) {
    session.environment.out << FormatTable({"TOPIC", "PARTITIONS", "KEPT"}, rows);
  }
  return absl::OkStatus();
}

absl::Status RunDoctor(Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Finding> findings, Examine(config, *log, session.environment.clock));
  std::vector<std::vector<std::string>> rows;
  int errors = 0;
  for (const Finding& finding : findings) {
    const char* const grade = finding.grade == Finding::Grade::kOk        ? "ok"
                              : finding.grade == Finding::Grade::kWarning ? "warning"
                                                                          : "ERROR";
    errors += finding.grade == Finding::Grade::kError ? 1 : 0;
    rows.push_back({finding.check, grade, finding.detail});
    if (session.json) {
      google::protobuf::Struct line;
      (*line.mutable_fields())["check"].set_string_value(finding.check);
      (*line.mutable_fields())["grade"].set_string_value(absl::AsciiStrToLower(grade));
      (*line.mutable_fields())["detail"].set_string_value(finding.detail);
      session.environment.out << FormatJson(line);
    }
  }
  if (!session.json) {
    session.environment.out << FormatTable({"CHECK", "RESULT", "DETAIL"}, rows);
  }
  return errors == 0 ? absl::OkStatus() : absl::InternalError(absl::StrCat("the installation has errors: errors=", errors));
}

}  // namespace

void AddLogCommands(CLI::App& app, Session& session) {
  struct ReplayFlags {
    std::string path;
    ReplayOptions options;
  };
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* replay = app.add_subcommand("replay", "send a file of events to Kafka in the rhythm of their times");
  replay
      ->add_option("file", flags->path,
                   "one event a line as proto3 JSON, read whole before the first is sent; - is standard input")
      ->required();
  replay->add_option("--speed", flags->options.speed, "times real time; 0: as fast as Kafka takes them; default 1")
      ->check(CLI::NonNegativeNumber);
  replay->add_flag("--shift-to-now", flags->options.shift_to_now, "events happen when they are sent");
  replay->callback([flags, &session] { session.status = ReplayFile(flags->path, flags->options, session); });

  app.add_subcommand("doctor", "looks at topics, settings, retention and where users lie; changes nothing")
      ->callback([&session] { session.status = RunDoctor(session); });

  CLI::App* topics = app.add_subcommand("topics", "Kafka topics")->require_subcommand(1);
  topics->add_subcommand("create", "create those that are missing, as the configuration says")->callback([&session] {
    session.status = CreateAllTopics(session);
  });
}

}  // namespace tributary::serving
