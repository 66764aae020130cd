// What the speed layer takes in, on a real Kafka: events a second of one instance on one core, exactly once, from a
// backlog; the steps on the way; bytes a live user; the time from kill -9 to the last partition flowing again; several
// instances. Peers in the same run: Kafka Streams exactly_once_v2 over the same records on the same core
// (peers/kafka_streams), and a librdkafka consumer that only counts. Progress is what the consumer group has committed,
// for both alike, and rates are taken after the first third, so that nobody's start and no compiler's warm-up counts.
#include <librdkafka/rdkafka.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <glog/logging.h>
#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/event_log/topics.h"
#include "common/process/stop_signal.h"
#include "speed_layer/partition_state.h"
#include "tests/bench/enqueue.h"
#include "tests/bench/process_usage.h"
#include "tests/bench/report.h"
#include "tests/bench/statistics.h"
#include "tests/fakes/temp_dir.h"
#include "tests/integration/installation.h"
#include "tests/integration/kafka_fixture.h"

namespace tributary::bench {
namespace {

constexpr int kMeasuredCore = 0;
constexpr int kItems = 100'000;
constexpr absl::Duration kLookAgain = absl::Milliseconds(10);
constexpr absl::Duration kLimit = absl::Minutes(5);
constexpr int64_t kStreamsCacheBytes = 256 << 20;
constexpr size_t kFlushEvery = 100'000;  // Events between flushes in the steps, as in a backlog.

struct Options {
  int64_t events = 3'000'000;
  int users = 1'000'000;
  int live_events = 20;  // A user, where live users are measured.
  std::string peer;      // Class path of StreamsPeer.
  bool throughput = false;
  bool steps = false;
  bool live = false;
  bool scale = false;
  bool budget = false;
};

// ---- events ---------------------------------------------------------------------------------------------------------

// Draws users: rank r as often as 1/r (Zipf), or all alike. Ranks are spread over the ids.
class Activity {
 public:
  Activity(int users, bool zipf) : users_(users), zipf_(zipf) {
    if (!zipf) return;
    double sum = 0;
    for (int rank = 1; rank <= users; ++rank) cumulated_.push_back(sum += 1.0 / rank);
  }
  int Draw() {
    if (!zipf_) return std::uniform_int_distribution<int>(0, users_ - 1)(random_);
    const double at = std::uniform_real_distribution<double>(0, cumulated_.back())(random_);
    const int64_t rank = std::upper_bound(cumulated_.begin(), cumulated_.end(), at) - cumulated_.begin();
    return static_cast<int>((rank * 7919) % users_);
  }

 private:
  const int users_;
  const bool zipf_;
  std::mt19937_64 random_{1};
  std::vector<double> cumulated_;
};

std::string UserId(int user) { return absl::StrCat("user-", user); }

// The n-th event overall, the `nth` of its user: mostly views, five to a session, each with an id.
v1::Event MakeEvent(int user, int64_t n, int64_t nth, std::mt19937_64& random) {
  constexpr v1::EventType kTypes[] = {v1::VIEW,  v1::VIEW,  v1::VIEW,        v1::VIEW,
                                      v1::CLICK, v1::CLICK, v1::ADD_TO_CART, v1::PURCHASE};
  v1::Event event;
  event.set_user_id(UserId(user));
  event.set_type(kTypes[random() % std::size(kTypes)]);
  const absl::Time now = absl::Now();
  event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(now));
  event.mutable_event_time()->set_nanos(static_cast<int32_t>(absl::ToUnixMillis(now) % 1000) * 1'000'000);
  // A few items are much wanted.
  const double popular = std::pow(std::uniform_real_distribution<double>(0, 1)(random), 3.0);
  event.set_item_id(absl::StrCat("item-", static_cast<int>(popular * kItems)));
  event.set_event_id(absl::StrFormat("%016x", n));
  event.set_session_id(absl::StrCat("s", user, "-", nth / 5));
  if (event.type() == v1::PURCHASE) event.set_value(9.5);
  return event;
}

// ---- processes ------------------------------------------------------------------------------------------------------

void PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

absl::Duration CpuTime(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> fields = absl::StrSplit(line.substr(line.rfind(')') + 2), ' ');
  CHECK_GT(fields.size(), 13u);
  const int64_t ticks = std::stoll(fields[11]) + std::stoll(fields[12]);
  return absl::Seconds(static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

// ---- one topic of events and who reads it ---------------------------------------------------------------------------

class World {
 public:
  explicit World(int partitions) : partitions_(partitions), topics_(kafka_.config().topic_prefix()) {
    v1::KafkaConfig config = kafka_.config();
    config.set_partitions(partitions);
    config.set_replication_factor(1);
    config.set_retention_hours(168);
    const absl::Status created = kafka_.log().CreateTopics(TopicsToCreate(topics_, config));
    CHECK(created.ok()) << created;
    config_path_ =
        dir_.Write("tributary.textproto",
                   absl::StrCat("kafka { brokers: '", config.brokers(), "' topic_prefix: '", config.topic_prefix(),
                                "' partitions: ", partitions, " }\nspeed { session_timeout_ms: 6000 }\n"));
    auto producer = kafka_.log().OpenProducer();
    CHECK(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }

  EventLog& log() { return kafka_.log(); }
  const std::string& brokers() const { return kafka_.config().brokers(); }
  const Topics& topics() const { return topics_; }
  int partitions() const { return partitions_; }
  int64_t written() const { return written_; }
  std::string prefix() const { return kafka_.config().topic_prefix(); }
  std::string Group() const { return absl::StrCat(prefix(), "tributary-speed"); }

  void Write(const v1::Event& event, std::optional<PartitionId> partition = std::nullopt) {
    Enqueue(*producer_,
            {.topic = topics_.events, .partition = partition, .key = event.user_id(), .value = event.SerializeAsString()});
    ++written_;
  }
  void Flush() {
    const absl::Status status = producer_->Flush(absl::Minutes(1));
    CHECK(status.ok()) << status;
  }

  // `memory_budget`: bytes; 0: none.
  std::unique_ptr<integration::Process> StartSpeed(const std::string& instance, bool pinned, int64_t memory_budget = 0) {
    std::vector<std::string> command;
    if (pinned) command = {"/usr/bin/taskset", "-c", absl::StrCat(kMeasuredCore)};
    for (const std::string& part : {std::string(TRIBUTARY_BIN_DIR "/tributary-speed"), std::string("--config"),
                                    config_path_, std::string("--instance"), instance,
                                    std::string("--memory-budget"), absl::StrCat(memory_budget), std::string("--set"),
                                    absl::StrCat("speed { local_store_dir: '", dir_.Join("local"), "' }")}) {
      command.push_back(part);
    }
    return std::make_unique<integration::Process>(command, dir_.Join(instance + ".log"));
  }

  std::unique_ptr<integration::Process> StartPeer(const std::string& class_path) {
    const absl::Status created =
        log().CreateTopics({TopicOptions{.name = prefix() + "peer-out", .partitions = partitions_}});
    CHECK(created.ok()) << created;
    return std::make_unique<integration::Process>(
        std::vector<std::string>{"/usr/bin/taskset", "-c", absl::StrCat(kMeasuredCore), "/usr/bin/java", "-Xmx3g",
                                 "-cp", class_path, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                                 absl::StrCat("-Djava.io.tmpdir=", dir_.path()), "StreamsPeer", brokers(), PeerGroup(),
                                 topics_.events, prefix() + "peer-out", absl::StrCat(kStreamsCacheBytes)},
        dir_.Join("peer.log"));
  }
  std::string PeerGroup() const { return absl::StrCat(prefix(), "peer"); }

  // Records, and bytes of their keys and values, in a topic.
  std::pair<int64_t, int64_t> SizeOf(const std::string& topic) {
    auto reader = log().OpenReader(Isolation::kUncommitted);
    CHECK(reader.ok()) << reader.status();
    for (int p = 0; p < partitions_; ++p) CHECK((*reader)->Start({topic, PartitionId{p}}, Offset{0}).ok());
    int64_t records = 0, bytes = 0;
    for (int ended = 0; ended < partitions_;) {
      const auto events = (*reader)->Poll(absl::Seconds(1), 10'000);
      CHECK(events.ok()) << events.status();
      for (const LogEvent& event : *events) {
        if (const auto* record = std::get_if<LogRecord>(&event)) {
          ++records;
          bytes += static_cast<int64_t>(record->key.size() + (record->value ? record->value->size() : 0));
        } else {
          ++ended;
        }
      }
    }
    return {records, bytes};
  }

 private:
  KafkaFixture kafka_;
  const int partitions_;
  const Topics topics_;
  TempDir dir_;
  std::string config_path_;
  std::unique_ptr<LogProducer> producer_;
  int64_t written_ = 0;
};

// What a consumer group has committed of the events.
class CommittedWatch {
 public:
  CommittedWatch(World& world, const std::string& group) : world_(world) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char reason[256];
    for (const auto& [name, value] : {std::pair<std::string, std::string>{"bootstrap.servers", world.brokers()},
                                      {"group.id", group},
                                      {"isolation.level", "read_uncommitted"}}) {
      CHECK_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)), RD_KAFKA_CONF_OK)
          << reason;
    }
    handle_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    CHECK(handle_ != nullptr) << reason;
  }
  ~CommittedWatch() { rd_kafka_destroy(handle_); }

  int64_t Committed() const {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(world_.partitions());
    for (int p = 0; p < world_.partitions(); ++p) {
      rd_kafka_topic_partition_list_add(list, world_.topics().events.c_str(), p);
    }
    int64_t sum = 0;
    if (rd_kafka_committed(handle_, list, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      for (int i = 0; i < list->cnt; ++i) sum += std::max<int64_t>(0, list->elems[i].offset);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return sum;
  }
  // Waits until at least `events` are committed.
  void Await(int64_t events, integration::Process& process) const {
    const absl::Time limit = absl::Now() + kLimit;
    while (Committed() < events) {
      CHECK(process.Running()) << process.Log();
      CHECK(absl::Now() < limit) << "waited in vain for " << events << " events: " << Committed() << "\n"
                                 << process.Log();
      absl::SleepFor(kLookAgain);
    }
  }

 private:
  World& world_;
  rd_kafka_t* handle_ = nullptr;
};

// Events a second between the first third and the end, and what they cost.
struct Drained {
  double events_per_second = 0;
  double cpu_seconds_per_million = 0;
};

Drained Drain(World& world, const std::string& group, std::vector<std::unique_ptr<integration::Process>> processes) {
  const CommittedWatch watch(world, group);
  const auto cpu = [&] {
    absl::Duration sum;
    for (const auto& process : processes) sum += CpuTime(process->pid());
    return sum;
  };
  absl::Time began = absl::Now();
  watch.Await(world.written() / 3, *processes.front());
  int64_t first = watch.Committed();
  absl::Duration cpu_before;
  if (first < world.written()) {
    began = absl::Now();
    cpu_before = cpu();
  } else {
    first = 0;  // So few that they came in one commit: all counts, the start too.
  }
  watch.Await(world.written(), *processes.front());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  const auto events = static_cast<double>(world.written() - first);
  const absl::Duration cpu_after = cpu();
  // The kernel counts in hundredths of a second: of less the whole run is taken.
  const bool is_known = cpu_after > cpu_before;
  const double cpu_seconds = absl::ToDoubleSeconds(is_known ? cpu_after - cpu_before : cpu_after);
  return {events / seconds, cpu_seconds / (is_known ? events : static_cast<double>(world.written())) * 1e6};
}

template <typename... Processes>
std::vector<std::unique_ptr<integration::Process>> Together(Processes... processes) {
  std::vector<std::unique_ptr<integration::Process>> all;
  (all.push_back(std::move(processes)), ...);
  return all;
}

void Fill(World& world, const Options& options, bool zipf) {
  Activity activity(options.users, zipf);
  std::mt19937_64 random(2);
  std::vector<int> seen(static_cast<size_t>(options.users));
  for (int64_t n = 0; n < options.events; ++n) {
    const int user = activity.Draw();
    world.Write(MakeEvent(user, n, seen[static_cast<size_t>(user)]++, random));
  }
  world.Flush();
}

// A consumer that only counts, on the measured core, from a thread of its own.
double BareConsumer(World& world) {
  double rate = 0;
  std::thread([&] {
    PinTo(kMeasuredCore);
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char reason[256];
    for (const auto& [name, value] : {std::pair<std::string, std::string>{"bootstrap.servers", world.brokers()},
                                      {"queued.min.messages", "1000000"}}) {
      CHECK_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)), RD_KAFKA_CONF_OK)
          << reason;
    }
    rd_kafka_t* handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    CHECK(handle != nullptr) << reason;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(handle, world.topics().events.c_str(), nullptr);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(handle);
    for (int p = 0; p < world.partitions(); ++p) CHECK_EQ(rd_kafka_consume_start_queue(topic, p, 0, queue), 0);
    std::vector<rd_kafka_message_t*> messages(10'000);
    int64_t seen = 0, first = 0;
    absl::Time began;
    while (seen < world.written()) {
      const ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages.data(), messages.size());
      for (ssize_t i = 0; i < count; ++i) {
        seen += messages[static_cast<size_t>(i)]->err == RD_KAFKA_RESP_ERR_NO_ERROR ? 1 : 0;
        rd_kafka_message_destroy(messages[static_cast<size_t>(i)]);
      }
      if (first == 0 && seen >= world.written() / 3) {
        first = seen;
        began = absl::Now();
      }
    }
    rate = static_cast<double>(seen - first) / absl::ToDoubleSeconds(absl::Now() - began);
    for (int p = 0; p < world.partitions(); ++p) rd_kafka_consume_stop(topic, p);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle);
  }).join();
  return rate;
}

void ReportSizes(World& world, const std::string& suffix, Report& report) {
  const auto millions = static_cast<double>(world.written()) / 1e6;
  int64_t bytes = 0;
  for (const std::string& topic : {world.topics().speed_views, world.topics().live_counts}) {
    const auto [records, size] = world.SizeOf(topic);
    bytes += size;
    std::cerr << topic << ": " << records << " records, " << size << " bytes\n";
  }
  report.Add("written_bytes_per_million" + suffix, static_cast<double>(bytes) / millions, "bytes");
  report.Add("read_bytes_per_million" + suffix,
             static_cast<double>(world.SizeOf(world.topics().events).second) / millions, "bytes");
}

// ---- the steps in one process ---------------------------------------------------------------------------------------

class Stopwatch {
 public:
  template <typename Work>
  auto Time(Work work) {
    const absl::Time began = absl::Now();
    struct Stop {
      Stopwatch* self;
      absl::Time began;
      ~Stop() { self->spent_ += absl::Now() - began; }
    } stop{this, began};
    return work();
  }
  double NanosecondsPer(int64_t events) const {
    return absl::ToDoubleNanoseconds(spent_) / static_cast<double>(events);
  }

 private:
  absl::Duration spent_;
};

void MeasureSteps(World& world, const std::string& suffix, Report& report) {
  std::thread([&] {
    PinTo(kMeasuredCore);
    const speed::PartitionSettings settings{.topics = world.topics(),
                                            .segment_size = 1024,
                                            .limits = {.facts = 4096},
                                            .allowed_lateness = absl::Hours(24),
                                            .instance = "steps"};
    speed::PartitionState state(settings, PartitionId{0}, {});
    auto reader = world.log().OpenReader(Isolation::kCommitted);
    CHECK(reader.ok()) << reader.status();
    CHECK((*reader)->Start({world.topics().events, PartitionId{0}}, Offset{0}).ok());
    const std::string out = world.prefix() + "steps-out";
    CHECK(world.log().CreateTopics({TopicOptions{.name = out}}).ok());
    auto producer = world.log().OpenTransactionalProducer(out);
    CHECK(producer.ok()) << producer.status();

    Stopwatch poll, parse, apply, views, counts, produce;
    std::vector<ProduceRecord> records;
    int64_t applied = 0, flushed = 0;
    const auto flush = [&] {
      const auto keep = [&records](ProduceRecord record) { records.push_back(std::move(record)); };
      views.Time([&] { state.TakeChanges(keep); });
      counts.Time([&] { state.TakeCounts(keep); });
      produce.Time([&] {
        CHECK((*producer)->Begin().ok());
        for (ProduceRecord& record : records) {
          record.topic = out;
          record.partition = PartitionId{0};
          CHECK((*producer)->Produce(std::move(record)).ok());
        }
        CHECK((*producer)->Abort().ok());
      });
      records.clear();
      flushed = applied;
    };
    for (bool ended = false; !ended;) {
      const auto events = poll.Time([&] { return (*reader)->Poll(absl::Seconds(1), 10'000); });
      CHECK(events.ok()) << events.status();
      parse.Time([&] {
        for (const LogEvent& event : *events) {
          const auto* record = std::get_if<LogRecord>(&event);
          if (record != nullptr) CHECK_EQ(ParseEvent(*record->value, record->append_time_unix_ms).index(), 0u);
        }
      });
      apply.Time([&] {
        for (const LogEvent& event : *events) {
          const auto* record = std::get_if<LogRecord>(&event);
          if (record == nullptr) {
            ended = true;
          } else {
            state.Apply(*record);
            ++applied;
          }
        }
      });
      if (applied - flushed >= static_cast<int64_t>(kFlushEvery) || ended) flush();
    }
    report.Add("step_poll_ns" + suffix, poll.NanosecondsPer(applied), "ns");
    report.Add("step_parse_ns" + suffix, parse.NanosecondsPer(applied), "ns");
    report.Add("step_apply_ns" + suffix, apply.NanosecondsPer(applied) - parse.NanosecondsPer(applied), "ns");
    report.Add("step_views_ns" + suffix, views.NanosecondsPer(applied), "ns");
    report.Add("step_counts_ns" + suffix, counts.NanosecondsPer(applied), "ns");
    report.Add("step_produce_ns" + suffix, produce.NanosecondsPer(applied), "ns");
  }).join();
}

// ---- parts ----------------------------------------------------------------------------------------------------------

void MeasureThroughput(const Options& options, bool zipf, Report& report) {
  const std::string suffix = zipf ? "" : "_uniform";
  World world(1);
  Fill(world, options, zipf);
  if (options.throughput) {
    const Drained ours = Drain(world, world.Group(), Together(world.StartSpeed("speed-0", true)));
    if (options.peer.empty()) {
      std::cerr << "no peer: Kafka Streams was not given\n";
      report.Add("events_per_s" + suffix, ours.events_per_second, "1/s");
    } else {
      const Drained peer = Drain(world, world.PeerGroup(), Together(world.StartPeer(options.peer)));
      report.Add("events_per_s" + suffix, ours.events_per_second, "1/s", "kafka_streams_eos_v2",
                 peer.events_per_second);
      report.Add("cpu_s_per_million" + suffix, ours.cpu_seconds_per_million, "s", "kafka_streams_eos_v2",
                 peer.cpu_seconds_per_million);
    }
    report.Add("share_of_bare_consumer" + suffix, ours.events_per_second, "1/s", "librdkafka_consumer",
               BareConsumer(world));
    ReportSizes(world, suffix, report);
  }
  if (options.steps) MeasureSteps(world, suffix, report);
}

// What the users of the first partition take in memory when all events are applied.
int64_t UserBytes(World& world) {
  const speed::PartitionSettings settings{.topics = world.topics(),
                                          .segment_size = 1024,
                                          .limits = {.facts = 4096},
                                          .allowed_lateness = absl::Hours(24),
                                          .instance = "bytes"};
  speed::PartitionState state(settings, PartitionId{0}, {});
  auto reader = world.log().OpenReader(Isolation::kCommitted);
  CHECK(reader.ok()) << reader.status();
  CHECK((*reader)->Start({world.topics().events, PartitionId{0}}, Offset{0}).ok());
  for (bool ended = false; !ended;) {
    const auto events = (*reader)->Poll(absl::Seconds(1), 10'000);
    CHECK(events.ok()) << events.status();
    for (const LogEvent& event : *events) {
      if (const auto* record = std::get_if<LogRecord>(&event)) {
        state.Apply(*record);
      } else {
        ended = true;
      }
    }
    state.TakeChanges([](ProduceRecord) {});
    state.TakeCounts([](ProduceRecord) {});
  }
  return state.user_bytes();
}

// A quarter of what the users take, the rest on disk.
void MeasureBudget(const Options& options, Report& report) {
  World world(1);
  Fill(world, options, /*zipf=*/true);
  const int64_t bytes = UserBytes(world);
  report.Add("user_bytes", static_cast<double>(bytes), "bytes");
  const Drained drained = Drain(world, world.Group(), Together(world.StartSpeed("speed-0", true, bytes / 4)));
  report.Add("events_per_s_quarter_in_memory", drained.events_per_second, "1/s");
  report.Add("cpu_s_per_million_quarter_in_memory", drained.cpu_seconds_per_million, "s");
}

// How long events wait while a second instance joins the first and takes half of its partitions, which it restores:
// {those of partitions that stay where they are, those of the others}, the longest each.
std::pair<absl::Duration, absl::Duration> LongestWaits(World& world, std::mt19937_64& random) {
  constexpr absl::Duration kInterval = absl::Milliseconds(5);
  constexpr absl::Duration kBefore = absl::Seconds(1);
  constexpr absl::Duration kAfter = absl::Seconds(1);
  struct Partition {
    int64_t first_offset = 0;
    std::vector<absl::Time> written;
    size_t applied = 0;
    absl::Duration longest;
    bool moved = false;
  };
  std::vector<Partition> partitions(static_cast<size_t>(world.partitions()));
  auto reader = world.log().OpenReader(Isolation::kUncommitted);
  CHECK(reader.ok()) << reader.status();
  for (int p = 0; p < world.partitions(); ++p) {
    const TopicPartition events{world.topics().events, PartitionId{p}};
    partitions[p].first_offset = Value(world.log().Offsets(events, Isolation::kCommitted)->end);
    const TopicPartition views{world.topics().speed_views, PartitionId{p}};
    CHECK((*reader)->Start(views, world.log().Offsets(views, Isolation::kUncommitted)->end).ok());
  }
  std::unique_ptr<integration::Process> second;
  const absl::Time began = absl::Now();
  absl::Time end = absl::InfiniteFuture();
  const auto all_applied = [&] {
    return std::all_of(partitions.begin(), partitions.end(),
                       [](const Partition& partition) { return partition.applied == partition.written.size(); });
  };
  for (absl::Time next = began; absl::Now() < end || !all_applied();) {
    CHECK(absl::Now() < began + kLimit) << "waited in vain: " << (second ? second->Log() : "");
    for (; next <= std::min(absl::Now(), end); next += kInterval) {
      for (int p = 0; p < world.partitions(); ++p) {
        world.Write(MakeEvent(p, world.written(), 0, random), PartitionId{p});
        partitions[p].written.push_back(next);
      }
    }
    if (!second && absl::Now() >= began + kBefore) second = world.StartSpeed("speed-1", false);
    const auto events = (*reader)->Poll(kInterval, 10'000);
    CHECK(events.ok()) << events.status();
    for (const LogEvent& event : *events) {
      const auto* record = std::get_if<LogRecord>(&event);
      v1::Progress progress;
      if (record == nullptr || record->key != kProgressKey || !progress.ParseFromString(*record->value)) continue;
      Partition& partition = partitions[static_cast<size_t>(Value(record->source.partition))];
      for (; partition.applied < partition.written.size() &&
             partition.first_offset + static_cast<int64_t>(partition.applied) < progress.position().applied_offset();
           ++partition.applied) {
        partition.longest = std::max(partition.longest, absl::Now() - partition.written[partition.applied]);
      }
      partition.moved |= progress.instance() == "speed-1";
    }
    const auto moved = std::count_if(partitions.begin(), partitions.end(), [](const Partition& p) { return p.moved; });
    if (end == absl::InfiniteFuture() && moved == world.partitions() / 2) end = absl::Now() + kAfter;
  }
  std::pair<absl::Duration, absl::Duration> longest;
  for (const Partition& partition : partitions) {
    absl::Duration& of = partition.moved ? longest.second : longest.first;
    of = std::max(of, partition.longest);
  }
  return longest;
}

// Users whose events come close together, as sessions do; then kill -9 and start again; then a second instance.
void MeasureLiveUsers(const Options& options, Report& report) {
  constexpr int kBlock = 1000;
  constexpr int kPartitions = 4;
  constexpr int kRestarts = 3;
  World world(kPartitions);
  auto process = world.StartSpeed("speed-0", false);
  const CommittedWatch watch(world, world.Group());
  std::mt19937_64 random(3);
  // What the second half adds: the first has brought what the process holds whoever is live (queues, the allocator's own).
  int64_t half_bytes = 0;
  for (int block = 0; block < options.users; block += kBlock) {
    for (int nth = 0; nth < options.live_events; ++nth) {
      for (int user = block; user < std::min(block + kBlock, options.users); ++user) {
        world.Write(MakeEvent(user, world.written(), nth, random));
      }
    }
    if (half_bytes == 0 && block + kBlock >= options.users / 2) {
      world.Flush();
      watch.Await(world.written(), *process);
      half_bytes = ResidentBytes(process->pid());
    }
  }
  world.Flush();
  watch.Await(world.written(), *process);
  const int64_t bytes = ResidentBytes(process->pid());
  report.Add("bytes_per_live_user", static_cast<double>(bytes - half_bytes) / (options.users / 2), "bytes");
  report.Add("resident_bytes", static_cast<double>(bytes), "bytes");

  std::vector<double> seconds;
  for (int restart = 0; restart < kRestarts; ++restart) {
    process->Signal(SIGKILL);
    process->Wait();
    for (int p = 0; p < kPartitions; ++p) world.Write(MakeEvent(0, world.written(), 0, random), PartitionId{p});
    world.Flush();
    const absl::Time began = absl::Now();
    process = world.StartSpeed("speed-0", false);
    watch.Await(world.written(), *process);
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - began));
    std::cerr << "restored in " << seconds.back() << " s, CPU " << CpuTime(process->pid()) << "\n";
  }
  report.Add("restore_1m_users_s", Median(seconds), "s");
  const auto [stayed, moved] = LongestWaits(world, random);
  report.Add("second_instance_longest_wait_stayed_s", absl::ToDoubleSeconds(stayed), "s");
  report.Add("second_instance_longest_wait_moved_s", absl::ToDoubleSeconds(moved), "s");
}

void MeasureScale(const Options& options, Report& report) {
  for (const int instances : {1, 2, 4}) {
    World world(4);
    Fill(world, options, true);
    std::vector<std::unique_ptr<integration::Process>> processes;
    for (int i = 0; i < instances; ++i) processes.push_back(world.StartSpeed(absl::StrCat("speed-", i), false));
    const Drained drained = Drain(world, world.Group(), std::move(processes));
    report.Add(absl::StrCat("events_per_s_instances_", instances), drained.events_per_second, "1/s");
    report.Add(absl::StrCat("cpu_s_per_million_instances_", instances), drained.cpu_seconds_per_million, "s");
  }
}

void Run(const Options& options) {
  // The broker, which this process starts, and the readers and writers of the bench keep off the measured core.
  const int cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t everywhere;
  CHECK_EQ(sched_getaffinity(0, sizeof(everywhere), &everywhere), 0);
  Report report("speed");
  if (options.throughput || options.steps) {
    if (cores > 1) {
      cpu_set_t others = everywhere;
      CPU_CLR(kMeasuredCore, &others);
      CHECK_EQ(sched_setaffinity(0, sizeof(others), &others), 0);
    }
    for (const bool zipf : {true, false}) MeasureThroughput(options, zipf, report);
    CHECK_EQ(sched_setaffinity(0, sizeof(everywhere), &everywhere), 0);
  }
  if (options.budget) MeasureBudget(options, report);
  if (options.live) MeasureLiveUsers(options, report);
  if (options.scale) MeasureScale(options, report);
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::InitLogging(argv[0]);
  tributary::bench::Options options;
  bool smoke = false;
  std::vector<std::string> parts;
  CLI::App app{"Throughput, memory and restart of the speed layer, through a real Kafka."};
  app.add_option("--events", options.events, "events that are waiting")->check(CLI::Range(1000, 100'000'000));
  app.add_option("--users", options.users, "who could act")->check(CLI::Range(1000, 10'000'000));
  app.add_option("--live-events", options.live_events, "events a live user")->check(CLI::Range(1, 1000));
  app.add_option("--peer", options.peer, "class path of StreamsPeer (peers/kafka_streams/build.sh prints it)");
  app.add_option("--parts", parts, "what to measure; all unless said")
      ->delimiter(',')
      ->check(CLI::IsMember({"throughput", "steps", "live", "scale", "budget"}));
  app.add_flag("--smoke", smoke, "few events, no peer");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.events = 400'000;
    options.users = 20'000;
  }
  const auto wanted = [&](const char* part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  options.throughput = wanted("throughput");
  options.steps = wanted("steps");
  options.live = wanted("live");
  options.scale = wanted("scale");
  options.budget = wanted("budget");
  tributary::bench::Run(options);
}
