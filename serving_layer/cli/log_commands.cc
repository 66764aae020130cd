// replay, topics, dead-letters: work on Kafka directly.
#include <algorithm>
#include <set>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/event_log/topics.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/json_lines.h"
#include "serving_layer/cli/replay.h"

namespace tributary::serving {
namespace {

constexpr absl::Duration kPollTimeout = absl::Seconds(1);
constexpr absl::Duration kReadTimeout = absl::Seconds(30);   // Without a record or an end: the broker is away.
constexpr int kPollEvents = 1000;
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

// The last records of the topic, at most `limit` a partition.
absl::StatusOr<std::vector<ListedDeadLetter>> ReadDeadLetters(const std::string& topic, int64_t limit, EventLog& log,
                                                              const Clock& clock) {
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log.PartitionCount(topic));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogReader> reader, log.OpenReader(Isolation::kCommitted));
  std::set<PartitionId> reading;
  for (int partition = 0; partition < partitions; ++partition) {
    const TopicPartition source{topic, PartitionId{partition}};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log.Offsets(source, Isolation::kCommitted));
    if (range.begin < range.end) {
      // Markers of transactions take offsets too: twice as far back, and cut afterwards.
      const Offset from{std::max(Value(range.begin), Value(range.end) - 2 * limit)};
      TRIBUTARY_RETURN_IF_ERROR(reader->Start(source, from));
      reading.insert(source.partition);
    }
  }
  std::vector<ListedDeadLetter> letters;
  absl::Time heard = clock.Now();
  while (!reading.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader->Poll(kPollTimeout, kPollEvents));
    if (!events.empty()) {
      heard = clock.Now();
    } else if (clock.Now() - heard > kReadTimeout) {
      return absl::UnavailableError(absl::StrCat("topic cannot be read to its end: topic=", topic));
    }
    for (const LogEvent& event : events) {
      if (const auto* end = std::get_if<EndOfPartition>(&event)) {
        reading.erase(end->source.partition);
      } else if (const auto* record = std::get_if<LogRecord>(&event); record != nullptr && record->value) {
        ListedDeadLetter listed;
        if (!listed.letter.ParseFromString(*record->value)) {
          return absl::DataLossError(absl::StrCat("dead letter cannot be read: partition=",
                                                  Value(record->source.partition), " offset=", Value(record->offset)));
        }
        listed.position.set_partition(Value(record->source.partition));
        listed.position.set_offset(Value(record->offset));
        letters.push_back(std::move(listed));
      }
    }
  }
  std::stable_sort(letters.begin(), letters.end(), [](const ListedDeadLetter& a, const ListedDeadLetter& b) {
    return a.letter.record_time_unix_ms() > b.letter.record_time_unix_ms();
  });
  if (static_cast<int64_t>(letters.size()) > limit) {
    letters.resize(static_cast<size_t>(limit));
  }
  return letters;
}

absl::Status ListDeadLetters(int64_t limit, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<ListedDeadLetter> letters,
                             ReadDeadLetters(Topics(config.kafka().topic_prefix()).dead_letters, limit, *log,
                                             session.environment.clock));
  if (!session.json) {
    session.environment.out << FormatDeadLetters(letters);
    return absl::OkStatus();
  }
  for (const ListedDeadLetter& listed : letters) {
    session.environment.out << FormatJson(listed.letter);
  }
  return absl::OkStatus();
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

  CLI::App* topics = app.add_subcommand("topics", "Kafka topics")->require_subcommand(1);
  topics->add_subcommand("create", "create those that are missing, as the configuration says")->callback([&session] {
    session.status = CreateAllTopics(session);
  });

  auto limit = std::make_shared<int64_t>(20);
  CLI::App* dead_letters = app.add_subcommand("dead-letters", "events that were refused")->require_subcommand(1);
  CLI::App* list = dead_letters->add_subcommand("list", "the latest, with cause and reason");
  list->add_option("--limit", *limit, "default 20")->check(CLI::Range(1, 10'000));
  list->callback([limit, &session] { session.status = ListDeadLetters(*limit, session); });
}

}  // namespace tributary::serving
