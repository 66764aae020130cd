// tributary-batch: files and Kafka into the history, the history into snapshots. See batch_layer/README.md.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch_layer/exit_code.h"
#include "batch_layer/export/export_lists.h"
#include "batch_layer/gate/gate.h"
#include "batch_layer/history/history.h"
#include "batch_layer/import/importer.h"
#include "batch_layer/kafka_range/progress.h"
#include "batch_layer/pipeline/forgotten_report.h"
#include "batch_layer/pipeline/run.h"
#include "batch_layer/schedule/child_run.h"
#include "batch_layer/schedule/late_events.h"
#include "batch_layer/schedule/scheduler.h"
#include "batch_layer/schedule/timetable.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/event_log/topics.h"
#include "common/kafka/kafka_event_log.h"
#include "common/process/stop_signal.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr absl::Duration kStopPoll = absl::Milliseconds(100);

struct Flags {
  std::string config;
  std::vector<std::string> overrides;
  bool no_activate = false;
  bool no_kafka = false;
  bool force = false;
  int threads = 0;
  std::string daily_at;
  std::string time_zone = "UTC";
  std::string every;
  uint64_t memory_budget = 0;
  std::string file;
  std::string mapping;
  std::string rejects;
  std::string from;
  std::string until;
  std::string user;
  int64_t generation = 0;
  std::string out;
  bool json = false;
};

absl::StatusOr<std::unique_ptr<History>> OpenHistory(const v1::Config& config) {
  return History::Open({.dir = config.storage().history_dir(),
                        .events_topic = Topics(config.kafka().topic_prefix()).events,
                        .segment_size = config.kafka().segment_size()});
}

void SleepUnlessStopped(absl::Duration time, const StopSignal& stop) {
  for (const absl::Time end = absl::Now() + time; !stop.stopped() && absl::Now() < end;) {
    absl::SleepFor(std::min(kStopPoll, time));
  }
}

absl::StatusOr<ExitCode> Run(const Flags& flags, v1::Config config, const StopSignal& stop) {
  if (flags.threads > 0) {
    config.mutable_batch()->set_threads(flags.threads);
  }
  if (flags.memory_budget > 0) {
    config.mutable_batch()->set_memory_budget_bytes(static_cast<int64_t>(flags.memory_budget));
  }
  TRIBUTARY_RETURN_IF_ERROR(ValidateConfig(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<History> history, OpenHistory(config));
  std::unique_ptr<EventLog> log;
  if (!flags.no_kafka) {
    TRIBUTARY_ASSIGN_OR_RETURN(log, OpenKafka(config.kafka()));
  }
  RunOptions options;
  options.activate = !flags.no_activate;
  options.force = flags.force;
  options.stopped = [&stop] { return stop.stopped(); };
  options.sleep = [&stop](absl::Duration grace) { SleepUnlessStopped(grace, stop); };
  ProgressLine progress(
      ::isatty(STDERR_FILENO) != 0 ? &std::cerr : nullptr,
      [](absl::string_view text) { LOG(INFO) << "history: " << text; }, SystemClock());
  options.on_progress = [&progress](const RangeProgress& now) { progress.Update(now); };
  options.on_step = [](absl::string_view step, absl::Duration took, absl::string_view result) {
    std::cout << absl::StrFormat("%-12s %8.2f s   %s", step, absl::ToDoubleSeconds(took), result) << std::endl;
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const RunReport report, RunBatch(config, options, *history, log.get(), SystemClock()));
  if (report.verdict.outcome() == v1::GateVerdict::REFUSED) {
    std::cerr << "tributary-batch: generation " << report.manifest.generation()
              << " refused by the gate, kept but not activated: " << Describe(report.verdict) << std::endl;
    return ExitCode::kRefused;
  }
  return ExitCode::kDone;
}

// What makes this program the run that `schedule` was asked for. The configuration is read anew by each.
std::vector<std::string> RunArguments(const Flags& flags) {
  std::vector<std::string> arguments = {"run"};
  if (!flags.config.empty()) {
    arguments.insert(arguments.end(), {"--config", flags.config});
  }
  for (const std::string& text : flags.overrides) {
    arguments.insert(arguments.end(), {"--set", text});
  }
  if (flags.threads > 0) {
    arguments.insert(arguments.end(), {"--threads", absl::StrCat(flags.threads)});
  }
  if (flags.memory_budget > 0) {
    arguments.insert(arguments.end(), {"--memory-budget", absl::StrCat(flags.memory_budget)});
  }
  if (flags.no_activate) {
    arguments.emplace_back("--no-activate");
  }
  if (flags.no_kafka) {
    arguments.emplace_back("--no-kafka");
  }
  return arguments;
}

// Makes runs until it is stopped.
absl::StatusOr<ExitCode> Schedule(const Flags& flags, const v1::Config& config, const StopSignal& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Timetable timetable, flags.every.empty()
                                                            ? Timetable::DailyAt(flags.daily_at, flags.time_zone)
                                                            : Timetable::Every(flags.every));
  const auto stopped = [&stop] { return stop.stopped(); };
  std::optional<LateEvents> late;
  if (!flags.no_kafka && config.batch().late_events_for_run() > 0) {
    late.emplace([&config] { return OpenKafka(config.kafka()); }, Topics(config.kafka().topic_prefix()).late_events,
                 ReadOptions{.max_idle_polls = 5, .stopped = stopped});
  }
  Scheduler::Options options;
  options.dir = absl::StrCat(config.storage().history_dir(), "/schedule");
  options.late = {.more_than = config.batch().late_events_for_run(),
                  .gap = absl::Seconds(config.batch().late_run_gap_seconds())};
  options.stopped = stopped;
  options.run = [&] {
    const absl::StatusOr<int> code = RunSelf(RunArguments(flags), stopped, kStopPoll);
    LOG_IF(ERROR, !code.ok()) << "schedule: " << code.status().message();
    return code.value_or(static_cast<int>(ExitCodeOf(code.status())));
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<Scheduler> scheduler,
                             Scheduler::Open(std::move(options), timetable, SystemClock(), late ? &*late : nullptr));
  while (!stop.stopped()) {
    const absl::Duration wait = scheduler->RunOnce();
    if (stop.stopped() && scheduler->exit_code() == static_cast<int>(ExitCode::kStopped)) {
      return ExitCode::kStopped;  // In the middle of a run, which is taken up when the schedule starts again.
    }
    SleepUnlessStopped(wait, stop);
  }
  return ExitCode::kDone;
}

// A date (UTC midnight) or a full RFC 3339 time.
absl::StatusOr<std::optional<absl::Time>> ParseLimit(const std::string& flag, const std::string& text) {
  absl::Time time;
  std::string error;
  if (text.empty()) {
    return std::optional<absl::Time>();
  }
  if (absl::ParseTime("%Y-%m-%d", text, &time, &error) || absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return std::optional<absl::Time>(time);
  }
  return absl::InvalidArgumentError(absl::StrCat("time is neither YYYY-MM-DD nor RFC 3339: flag=--", flag, " value=", text));
}

absl::StatusOr<ImportOptions> OptionsOf(const Flags& flags) {
  ImportOptions options;
  options.file = flags.file;
  options.mapping_file = flags.mapping;
  options.reject_file = flags.rejects;
  TRIBUTARY_ASSIGN_OR_RETURN(options.from, ParseLimit("from", flags.from));
  TRIBUTARY_ASSIGN_OR_RETURN(options.until, ParseLimit("until", flags.until));
  return options;
}

// Prints the file's events as JSON lines, for `tributary replay`.
absl::Status Convert(const Flags& flags) {
  TRIBUTARY_ASSIGN_OR_RETURN(const ImportOptions options, OptionsOf(flags));
  const auto print = [](const v1::Event& event) -> absl::Status {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(event, &json).ok()) {
      return absl::InternalError(absl::StrCat("event cannot be printed: event_id=", event.event_id()));
    }
    std::cout << json << '\n';
    return std::cout ? absl::OkStatus() : absl::UnavailableError("standard output cannot be written");
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const ImportReport report, ConvertFile(options, print));
  std::cout.flush();
  std::cerr << absl::StrFormat("%s: %d events, %d rows rejected, %d skipped, %d outside the time limits\n", flags.file,
                               report.accepted, report.rejected, report.skipped, report.outside);
  return absl::OkStatus();
}

absl::Status Import(const Flags& flags, const v1::Config& config) {
  TRIBUTARY_ASSIGN_OR_RETURN(const ImportOptions options, OptionsOf(flags));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<History> history, OpenHistory(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const ImportReport report, ImportFile(options, *history));
  if (report.already_there) {
    std::cout << absl::StrFormat("%s: its content (xxh64 %016x) is in the history already; nothing done\n", flags.file,
                                 report.xxh64);
    return absl::OkStatus();
  }
  std::cout << absl::StrFormat("%s: %d events, %d items, %d rows rejected, %d skipped, %d outside the time limits\n",
                               flags.file, report.accepted, report.items, report.rejected, report.skipped, report.outside);
  if (report.forgotten > 0) {
    std::cout << report.forgotten << " events of users who were forgotten since, taken in without them\n";
  }
  for (const auto& [type, events] : report.by_type) {
    std::cout << absl::StrFormat("  %-16s %10d\n", type, events);
  }
  if (!report.reject_file.empty()) {
    std::cout << "rejected rows: " << report.reject_file << "\n";
  }
  return absl::OkStatus();
}

absl::Status CompactHistory(const v1::Config& config, const StopSignal& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<History> history, OpenHistory(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const CompactionReport report,
                             history->Compact(CompactionLimitsOf(config.batch()), [&stop] { return stop.stopped(); }));
  std::cout << Describe(report) << std::endl;
  return absl::OkStatus();
}

absl::Status PrintForgotten(const Flags& flags, const v1::Config& config) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<History> history, OpenHistory(config));
  const std::optional<std::string> user = flags.user.empty() ? std::nullopt : std::optional(flags.user);
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ForgottenReport report, ReportForgotten(config, *history, user));
  std::string text = Describe(report);
  if (flags.json) {
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    text.clear();
    if (!google::protobuf::util::MessageToJsonString(report, &text, options).ok()) {
      return absl::InternalError("report cannot be printed");
    }
  }
  std::cout << text << std::flush;
  return absl::OkStatus();
}

absl::Status Export(const Flags& flags, const v1::Config& config) {
  const SnapshotStore store(config.storage().snapshots_dir());
  Generation generation{flags.generation};
  if (flags.generation == 0) {
    TRIBUTARY_ASSIGN_OR_RETURN(generation, store.Current());
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> snapshot,
                             SnapshotReader::Open(store.dir(), generation, SnapshotReader::Verify::kChecksums,
                                                  /*block_cache_bytes=*/8 << 20));
  TRIBUTARY_ASSIGN_OR_RETURN(const ExportReport report, ExportLists(*snapshot, flags.out));
  std::cout << absl::StrFormat("generation %d: lists of %d users (%d rows), neighbours of %d items (%d rows)\n",
                               Value(generation), report.users, report.user_rows, report.items, report.neighbour_rows);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const StopSignal stop;
  InitLogging(argv[0]);
  Flags flags;
  CLI::App app("Tributary's batch layer: history, models, snapshots", "tributary-batch");
  app.require_subcommand(1);
  app.fallthrough();       // --config and --set may also follow the command.
  app.add_option("--config", flags.config, "configuration file, protobuf text format (unset: the defaults)");
  app.add_option("--set", flags.overrides, "text-format snippet laid over the configuration, such as 'batch { seed: 7 }'")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  CLI::App* const run = app.add_subcommand("run", "read Kafka to its end, build a snapshot, make it current");
  run->add_flag("--force", flags.force, "activate the new snapshot outside the gate's limits too");
  CLI::App* const schedule = app.add_subcommand("schedule", "make runs when they are due, until it is stopped");
  CLI::Option_group* const when = schedule->add_option_group("when");
  CLI::Option* const daily_at = when->add_option("--daily-at", flags.daily_at, "HH:MM, once on every calendar day");
  when->add_option("--every", flags.every, "such as 6h or 1h30m, from the beginning of one run to that of the next");
  when->require_option(1);
  schedule->add_option("--time-zone", flags.time_zone, "of --daily-at, such as Europe/Berlin")
      ->needs(daily_at)
      ->capture_default_str();
  for (CLI::App* const command : {run, schedule}) {
    command->add_flag("--no-activate", flags.no_activate, "keep the new snapshot without making it current");
    command->add_flag("--no-kafka", flags.no_kafka, "use the history as it is, announce nothing");
    command->add_option("--memory-budget", flags.memory_budget, "in place of batch.memory_budget_bytes, such as 8GiB")
        ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
    command->add_option("--threads", flags.threads, "in place of batch.threads")->check(CLI::Range(1, 1024));
  }
  CLI::App* const import = app.add_subcommand("import", "put a file (CSV, JSON Lines; plain, zstd, gzip) into the history");
  import->add_option("--rejects", flags.rejects, "where rejected rows go (default FILE.rejected.jsonl)");
  CLI::App* const convert = app.add_subcommand("convert", "print a file's events as JSON lines, for `tributary replay`");
  for (CLI::App* const command : {import, convert}) {
    command->add_option("file", flags.file, "the file")->required();
    command->add_option("--mapping", flags.mapping, "ImportMapping, protobuf text format")->required();
    command->add_option("--from", flags.from, "leave out events before this time (YYYY-MM-DD, UTC, or RFC 3339)");
    command->add_option("--until", flags.until, "leave out events from this time on");
  }
  CLI::App* const exporting = app.add_subcommand("export", "write the lists and neighbours of a snapshot as Parquet");
  exporting->add_option("--generation", flags.generation, "of the snapshot (default: the current one)")
      ->check(CLI::PositiveNumber);
  exporting->add_option("--out", flags.out, "directory of the files")->required();
  CLI::App* const history = app.add_subcommand("history", "look after the history's files");
  history->require_subcommand(1);
  CLI::App* const compact = history->add_subcommand("compact", "merge small files now");
  CLI::App* const forgotten = history->add_subcommand("forgotten", "who was forgotten, and what still holds them until when");
  forgotten->add_option("user", flags.user, "of this user id alone, looking into the snapshots");
  forgotten->add_flag("--json", flags.json, "v1.ForgottenReport as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const auto execute = [&]() -> absl::StatusOr<ExitCode> {
    TRIBUTARY_ASSIGN_OR_RETURN(v1::Config config, LoadConfig(flags.config, flags.overrides));
    if (run->parsed()) {
      return Run(flags, std::move(config), stop);
    }
    if (schedule->parsed()) {
      return Schedule(flags, config, stop);
    }
    if (compact->parsed()) {
      TRIBUTARY_RETURN_IF_ERROR(CompactHistory(config, stop));
      return ExitCode::kDone;
    }
    if (forgotten->parsed()) {
      TRIBUTARY_RETURN_IF_ERROR(PrintForgotten(flags, config));
      return ExitCode::kDone;
    }
    if (exporting->parsed()) {
      TRIBUTARY_RETURN_IF_ERROR(Export(flags, config));
      return ExitCode::kDone;
    }
    TRIBUTARY_RETURN_IF_ERROR(convert->parsed() ? Convert(flags) : Import(flags, config));
    return ExitCode::kDone;
  };
  const absl::StatusOr<ExitCode> code = execute();
  if (!code.ok()) {
    std::cerr << "tributary-batch: " << code.status().message() << std::endl;
  }
  return static_cast<int>(code.ok() ? *code : ExitCodeOf(code.status()));
}

}  // namespace
}  // namespace tributary::batch

int main(int argc, char** argv) { return tributary::batch::Main(argc, argv); }
