// dead-letters: events that were refused, on Kafka directly.
#include <algorithm>
#include <optional>
#include <set>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/event/event.h"
#include "common/event_log/topics.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/json_lines.h"

namespace tributary::serving {
namespace {

constexpr absl::Duration kPollTimeout = absl::Seconds(1);
constexpr absl::Duration kReadTimeout = absl::Seconds(30);   // Without a record or an end: the broker is away.
constexpr absl::Duration kProduceTimeout = absl::Seconds(10);
constexpr int kPollEvents = 1000;

absl::StatusOr<ListedDeadLetter> ReadLetter(const LogRecord& record) {
  ListedDeadLetter listed;
  if (!record.value || !listed.letter.ParseFromString(*record.value)) {
    return absl::DataLossError(absl::StrCat("dead letter cannot be read: partition=", Value(record.source.partition),
                                            " offset=", Value(record.offset)));
  }
  listed.position.set_partition(Value(record.source.partition));
  listed.position.set_offset(Value(record.offset));
  return listed;
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
        TRIBUTARY_ASSIGN_OR_RETURN(letters.emplace_back(), ReadLetter(*record));
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

// A position as `list` prints it.
absl::StatusOr<EventPosition> ParsePosition(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  int32_t partition = 0;
  int64_t offset = 0;
  if (!absl::SimpleAtoi(parts.first, &partition) || !absl::SimpleAtoi(parts.second, &offset) || partition < 0 ||
      offset < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("position refused: field=at reason=\"wants PARTITION:OFFSET, as list prints it\" value=", text));
  }
  return EventPosition{PartitionId{partition}, Offset{offset}};
}

// The dead letter that lies there. NotFound: none does.
absl::StatusOr<ListedDeadLetter> ReadDeadLetter(const std::string& topic, absl::string_view at, EventLog& log,
                                                const Clock& clock) {
  TRIBUTARY_ASSIGN_OR_RETURN(const EventPosition position, ParsePosition(at));
  const absl::Status not_found = absl::NotFoundError(absl::StrCat("no such dead letter: topic=", topic, " at=", at));
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log.PartitionCount(topic));
  if (Value(position.partition) >= partitions) {
    return not_found;
  }
  const TopicPartition source{topic, position.partition};
  TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log.Offsets(source, Isolation::kCommitted));
  if (position.offset < range.begin || position.offset >= range.end) {
    return not_found;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogReader> reader, log.OpenReader(Isolation::kCommitted));
  TRIBUTARY_RETURN_IF_ERROR(reader->Start(source, position.offset));
  const absl::Time begin = clock.Now();
  while (clock.Now() - begin <= kReadTimeout) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader->Poll(kPollTimeout, /*max_events=*/1));
    if (events.empty()) {
      continue;
    }
    const auto* record = std::get_if<LogRecord>(&events.front());
    if (record == nullptr || record->offset != position.offset) {
      return not_found;   // A marker, or an aborted record.
    }
    return ReadLetter(*record);
  }
  return absl::UnavailableError(absl::StrCat("topic cannot be read: topic=", topic));
}

// The message in a record of `events`, protobuf or JSON, if it is one.
std::optional<v1::Event> DecodeEvent(const std::string& value) {
  v1::Event event;
  const bool read = absl::StartsWith(value, "{") ? ParseJson(value, &event).ok() : event.ParseFromString(value);
  return read && !value.empty() ? std::make_optional(std::move(event)) : std::nullopt;
}

absl::Status ShowDeadLetter(const std::string& at, bool original, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  TRIBUTARY_ASSIGN_OR_RETURN(const ListedDeadLetter listed, ReadDeadLetter(Topics(config.kafka().topic_prefix()).dead_letters,
                                                                           at, *log, session.environment.clock));
  if (original) {
    session.environment.out << listed.letter.original_value();
    return absl::OkStatus();
  }
  const std::optional<v1::Event> event = DecodeEvent(listed.letter.original_value());
  session.Print(listed.letter, FormatDeadLetter(listed, event ? &*event : nullptr));
  return absl::OkStatus();
}

// What is sent in place of a dead letter: `mended`, or what was refused, if it would not be refused again. With an event id
// of its own, so that the same letter sent twice counts once.
absl::StatusOr<v1::Event> RedriveEvent(const ListedDeadLetter& listed, const std::optional<v1::Event>& mended,
                                       absl::Time now) {
  std::optional<v1::Event> event = mended;
  if (!event) {
    event = DecodeEvent(listed.letter.original_value());
  }
  const std::string at = FormatPosition(listed.position);
  if (!event) {
    return absl::InvalidArgumentError(
        absl::StrCat("dead letter holds no event that can be read; mend it with --event-json or --event-file: at=", at));
  }
  const auto validated = ValidateEvent(*event, absl::ToUnixMillis(now));
  if (const auto* rejection = std::get_if<Rejection>(&validated)) {
    return absl::InvalidArgumentError(absl::StrCat("event would be refused again: at=", at, " field=", rejection->field,
                                                   " reason=\"", rejection->reason, "\""));
  }
  if (event->event_id().empty()) {
    event->set_event_id(absl::StrCat("redrive-", at));
  }
  return *std::move(event);
}

struct RedriveFlags {
  std::vector<std::string> at;
  std::string event_json;
  std::string event_file;
};

absl::StatusOr<std::optional<v1::Event>> MendedEvent(const RedriveFlags& flags) {
  if (flags.event_json.empty() && flags.event_file.empty()) {
    return std::optional<v1::Event>();
  }
  if (flags.at.size() != 1) {
    return absl::InvalidArgumentError("mended event refused: field=at reason=\"takes one position\"");
  }
  if (!flags.event_json.empty()) {
    v1::Event event;
    TRIBUTARY_RETURN_IF_ERROR(ParseJson(flags.event_json, &event));
    return event;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(std::vector<v1::Event> events, ReadJsonLines<v1::Event>(flags.event_file));
  if (events.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("mended event refused: field=event-file reason=\"wants one event\" path=",
                                                   flags.event_file, " events=", events.size()));
  }
  return std::move(events.front());
}

// All are looked at before the first is sent: when one is refused, none is.
absl::Status Redrive(const RedriveFlags& flags, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<v1::Event> mended, MendedEvent(flags));
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  const Topics topics(config.kafka().topic_prefix());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, session.OpenLog(config));
  std::vector<v1::Event> events;
  for (const std::string& at : flags.at) {
    TRIBUTARY_ASSIGN_OR_RETURN(const ListedDeadLetter listed,
                               ReadDeadLetter(topics.dead_letters, at, *log, session.environment.clock));
    TRIBUTARY_ASSIGN_OR_RETURN(events.emplace_back(), RedriveEvent(listed, mended, session.environment.clock.Now()));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogProducer> producer, log->OpenProducer());
  for (size_t i = 0; i < events.size(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(
        const EventPosition position,
        producer->Produce({.topic = topics.events, .key = events[i].user_id(), .value = events[i].SerializeAsString()},
                          kProduceTimeout));
    v1::EventPosition sent;
    sent.set_partition(Value(position.partition));
    sent.set_offset(Value(position.offset));
    session.Print(sent, absl::StrCat(flags.at[i], " sent again: ", topics.events, " ", FormatPosition(sent), "\n"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddDeadLetterCommands(CLI::App& app, Session& session) {
  CLI::App* dead_letters = app.add_subcommand("dead-letters", "events that were refused")->require_subcommand(1);

  auto limit = std::make_shared<int64_t>(20);
  CLI::App* list = dead_letters->add_subcommand("list", "the latest, with cause and reason");
  list->add_option("--limit", *limit, "default 20")->check(CLI::Range(1, 10'000));
  list->callback([limit, &session] { session.status = ListDeadLetters(*limit, session); });

  struct ShowFlags {
    std::string at;
    bool original = false;
  };
  auto show_flags = std::make_shared<ShowFlags>();
  CLI::App* show = dead_letters->add_subcommand("show", "one of them, with what was refused");
  show->add_option("at", show_flags->at, "PARTITION:OFFSET, as list prints it")->required();
  show->add_flag("--original", show_flags->original, "nothing but the refused bytes, as they are");
  show->callback(
      [show_flags, &session] { session.status = ShowDeadLetter(show_flags->at, show_flags->original, session); });

  auto redrive_flags = std::make_shared<RedriveFlags>();
  CLI::App* redrive =
      dead_letters->add_subcommand("redrive", "send events again that would not be refused now, or that were mended");
  redrive->add_option("at", redrive_flags->at, "PARTITION:OFFSET, as list prints it")->required();
  auto* json = redrive->add_option("--event-json", redrive_flags->event_json, "the mended event as proto3 JSON");
  redrive->add_option("--event-file", redrive_flags->event_file, "the same from a file; - is standard input")
      ->excludes(json);
  redrive->callback([redrive_flags, &session] { session.status = Redrive(*redrive_flags, session); });
}

}  // namespace tributary::serving
