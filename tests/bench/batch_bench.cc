// A batch run as a whole, on a history of its own, each in a process of its own so that its memory can be told.
//
//   gowalla_raw_to_live_s          Gowalla's train part as a CSV file: import, models, lists of 100 items for every user,
//                                  snapshot, gate, activation. Peer: implicit reading the same and learning for 15 epochs at
//                                  256 dimensions, without lists, snapshot and gate.
//   synthetic_100m_peak_rss_gib    Of a run over so many synthetic events that lie in the history. Peer: what it was allowed.
//   synthetic_100m_events_per_s    Of that run; with _STEP at the end of its steps. Peer: scanning the history and doing nothing.
// --events 10000000 makes the names synthetic_10m_...; --smoke takes small ones of both.
#include <glog/logging.h>
#include <google/protobuf/text_format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch_layer/history/history.h"
#include "batch_layer/import/importer.h"
#include "batch_layer/pipeline/run.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/snapshot/snapshot.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::bench {
namespace {

constexpr int kPartitions = 4;
constexpr int kListItems = 100;
constexpr int64_t kBegin = 1'700'000'000'000;
constexpr double kGib = int64_t{1} << 30;

struct Flags {
  bool smoke = false;
  bool gowalla = true;
  int64_t events = 10'000'000;
  double budget_gib = 8;
  int threads = 2;
  std::string set;             // Over the configuration of both.
  std::string peer;
};

v1::Config ConfigIn(const std::string& dir, const Flags& flags) {
  v1::Config config = DefaultConfig();
  config.mutable_storage()->set_snapshots_dir(dir + "/snapshots");
  config.mutable_storage()->set_history_dir(dir + "/history");
  config.mutable_batch()->set_threads(flags.threads);
  config.mutable_batch()->set_list_length(kListItems);
  return config;
}

void Override(const Flags& flags, v1::Config* config) {
  v1::BatchConfig changes;
  CHECK(google::protobuf::TextFormat::ParseFromString(flags.set, &changes)) << flags.set;
  config->mutable_batch()->MergeFrom(changes);
  CHECK(ValidateConfig(*config).ok()) << ValidateConfig(*config);
}

std::unique_ptr<batch::History> OpenHistory(const v1::Config& config) {
  auto history = batch::History::Open({.dir = config.storage().history_dir(),
                                       .events_topic = "events",
                                       .segment_size = config.kafka().segment_size()});
  CHECK(history.ok()) << history.status();
  return *std::move(history);
}

// What `work` measured, by name, and the memory of its process.
struct Measured {
  std::map<std::string, double> seconds;
  double peak_rss_gib = 0;
};

Measured InProcess(const std::string& dir, const std::function<void(std::map<std::string, double>*)>& work) {
  const std::string file = dir + "/measured";
  const pid_t child = ::fork();
  PCHECK(child >= 0);
  if (child == 0) {
    std::map<std::string, double> seconds;
    work(&seconds);
    std::ofstream out(file);
    for (const auto& [name, value] : seconds) {
      out << name << ' ' << absl::StrFormat("%.9f", value) << '\n';
    }
    out.close();
    ::_exit(out ? 0 : 1);
  }
  int status = 0;
  struct rusage usage {};
  PCHECK(::wait4(child, &status, 0, &usage) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "a process of the benchmark failed, status " << status;
  Measured measured;
  measured.peak_rss_gib = static_cast<double>(usage.ru_maxrss) * 1024 / kGib;
  std::ifstream in(file);
  std::string name;
  double value = 0;
  while (in >> name >> value) {
    measured.seconds[name] = value;
  }
  return measured;
}

// The manifest of a run that was activated; its steps go into `seconds`.
v1::SnapshotManifest Run(const v1::Config& config, std::map<std::string, double>* seconds) {
  const std::unique_ptr<batch::History> history = OpenHistory(config);
  batch::RunOptions options;
  options.sleep = [](absl::Duration) {};
  options.on_step = [seconds](absl::string_view step, absl::Duration took, absl::string_view result) {
    (*seconds)[std::string(step)] = absl::ToDoubleSeconds(took);
    std::cerr << absl::StrFormat("  %-12s %9.2f s   %s\n", step, absl::ToDoubleSeconds(took), result);
  };
  const absl::Time begin = absl::Now();
  const auto report = batch::RunBatch(config, options, *history, nullptr, SystemClock());
  (*seconds)["run"] = absl::ToDoubleSeconds(absl::Now() - begin);
  CHECK(report.ok()) << report.status();
  CHECK(report->activated) << "refused by the gate";
  return report->manifest;
}

// As a shop would hand it over: a line an event.
int64_t WriteCsv(const Part& part, const std::string& path) {
  std::ofstream csv(path);
  csv << "time,user,item\n";
  int64_t events = 0;
  for (uint32_t user = 0; user < part.users; ++user) {
    for (const uint32_t item : part.items_of[user]) {
      csv << 1'300'000'000 << ",u" << user << ",i" << item << '\n';
      ++events;
    }
  }
  csv.close();
  CHECK(csv.good()) << path;
  return events;
}

double SecondsOfImplicit(const std::string& dir, const Flags& flags) {
  const std::string command =
      absl::StrCat("OPENBLAS_NUM_THREADS=1 ", flags.peer, " ", std::getenv("TRIBUTARY_DATA"),
                   "/gowalla/train.txt.zst 256 15 ", flags.threads, " ", dir, "/factors >&2");
  const absl::Time begin = absl::Now();
  CHECK_EQ(std::system(command.c_str()), 0) << command;
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

void Gowalla(const Flags& flags, Report& report) {
  const TempDir dir;
  const Part train = flags.smoke ? SyntheticParts().first : ReadPart("gowalla", "train");
  const int64_t events = WriteCsv(train, dir.Join("events.csv"));
  dir.Write("mapping", R"(
    format: CSV
    event_time { value { text: "{time}" } format: "unix_s" }
    type_rules { type: PURCHASE }
    user_id { text: "{user}" }
    item_id { text: "{item}" })");
  v1::Config config = ConfigIn(dir.path(), flags);
  Override(flags, &config);
  std::cerr << "Gowalla, " << events << " events\n";
  const Measured measured = InProcess(dir.path(), [&](std::map<std::string, double>* seconds) {
    const absl::Time begin = absl::Now();
    {
      batch::ImportOptions import;
      import.file = dir.Join("events.csv");
      import.mapping_file = dir.Join("mapping");
      const auto imported = batch::ImportFile(import, *OpenHistory(config));
      CHECK(imported.ok() && imported->accepted == events) << imported.status();
    }
    (*seconds)["import"] = absl::ToDoubleSeconds(absl::Now() - begin);
    std::cerr << absl::StrFormat("  %-12s %9.2f s\n", "import", (*seconds)["import"]);
    const v1::SnapshotManifest manifest = Run(config, seconds);
    (*seconds)["raw_to_live"] = absl::ToDoubleSeconds(absl::Now() - begin);
    const auto reader = SnapshotReader::Open(config.storage().snapshots_dir(), Generation{manifest.generation()},
                                             SnapshotReader::Verify::kManifest, 8 << 20);
    CHECK(reader.ok()) << reader.status();
    uint32_t lists = 0;
    const absl::Status counted = (*reader)->ForEachUser([&lists](absl::string_view, const v1::SnapshotUser& user) {
      lists += user.list().items_size() == kListItems ? 1 : 0;
      return absl::OkStatus();
    });
    CHECK(counted.ok()) << counted;
    CHECK_EQ(lists, train.users) << "users with a whole list";
    for (const v1::QualityMetric& metric : manifest.metrics()) {
      if (metric.model().empty()) {
        std::cerr << "  validation " << metric.name() << " " << metric.value() << "\n";
      }
    }
  });
  if (flags.peer.empty() || flags.smoke) {
    report.Add("gowalla_raw_to_live_s", measured.seconds.at("raw_to_live"), "s");
  } else {
    report.Add("gowalla_raw_to_live_s", measured.seconds.at("raw_to_live"), "s", "implicit, 15 epochs at d = 256, no lists",
               SecondsOfImplicit(dir.path(), flags));
  }
}

// Users with many events and users with few, items by a power law (density 1 / rank), sessions of an hour.
class SyntheticEvents {
 public:
  SyntheticEvents(int64_t events, uint64_t seed)
      : random_(seed), events_(events), users_(std::max<int64_t>(10, events / 100)), items_(std::max<int64_t>(10, events / 800)) {}

  batch::HistoryEvent Next(PartitionId partition, Offset offset) {
    const double u = Uniform();
    const auto user = static_cast<int64_t>(std::pow(u, 1.5) * static_cast<double>(users_));
    const auto item = static_cast<int64_t>(std::exp(Uniform() * std::log(static_cast<double>(items_) + 1))) - 1;
    const int64_t kind = static_cast<int64_t>(random_() % 10);
    batch::HistoryEvent row;
    row.position = {partition, offset};
    // A year in all, in whichever partition.
    row.record_time_unix_ms = kBegin + Value(offset) * kPartitions * (365LL * 24 * 3600 * 1000 / events_ + 1);
    row.event.event_time_unix_ms = row.record_time_unix_ms - static_cast<int64_t>(random_() % 5000);
    row.event.type = kind < 8 ? v1::VIEW : kind == 8 ? v1::ADD_TO_CART : v1::PURCHASE;
    row.event.user_id = absl::StrCat("user-", user);
    row.event.item_id = absl::StrCat("item-", item);
    row.event.session_id = absl::StrCat(user, "/", row.event.event_time_unix_ms / 3'600'000);
    row.event.event_id_hash = random_() | 1;
    row.event.quantity_micros = kind >= 8 ? 1'000'000 : 0;
    row.event.value_micros = kind == 9 ? static_cast<int64_t>(random_() % 100) * 1'000'000 : 0;
    return row;
  }

 private:
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  std::mt19937_64 random_;
  const int64_t events_;
  const int64_t users_;
  const int64_t items_;
};

void Generate(const v1::Config& config, int64_t events) {
  constexpr int64_t kSegmentEvents = 500'000;
  const std::unique_ptr<batch::History> history = OpenHistory(config);
  SyntheticEvents synthetic(events, /*seed=*/1);
  std::vector<batch::HistoryEvent> rows;
  for (int partition = 0; partition < kPartitions; ++partition) {
    const int64_t end = events / kPartitions;
    for (int64_t begin = 0; begin < end; begin += kSegmentEvents) {
      rows.clear();
      for (int64_t offset = begin; offset < std::min(end, begin + kSegmentEvents); ++offset) {
        rows.push_back(synthetic.Next(PartitionId{partition}, Offset{offset}));
      }
      const absl::Status appended =
          history->Append({PartitionId{partition}, Offset{begin}, Next(rows.back().position.offset),
                           rows.back().record_time_unix_ms, rows});
      CHECK(appended.ok()) << appended;
    }
  }
}

void Synthetic(const Flags& flags, Report& report) {
  const TempDir dir;
  v1::Config config = ConfigIn(dir.path(), flags);
  config.mutable_batch()->set_memory_budget_bytes(static_cast<int64_t>(flags.budget_gib * kGib));
  Override(flags, &config);
  const int64_t events = flags.events / kPartitions * kPartitions;
  std::cerr << events << " synthetic events, at most " << flags.budget_gib << " GiB\n";
  const Measured generated = InProcess(dir.path(), [&](std::map<std::string, double>* seconds) {
    const absl::Time begin = absl::Now();
    Generate(config, events);
    (*seconds)["generate"] = absl::ToDoubleSeconds(absl::Now() - begin);
  });
  std::cerr << absl::StrFormat("  %-12s %9.2f s\n", "generate", generated.seconds.at("generate"));
  const Measured scanned = InProcess(dir.path(), [&](std::map<std::string, double>* seconds) {
    const std::unique_ptr<batch::History> history = OpenHistory(config);
    int64_t rows = 0;
    const absl::Time begin = absl::Now();
    const absl::Status status =
        history->Scan({.columns = batch::HistoryColumns::All()}, [&rows](const batch::HistoryEvent&) {
          ++rows;
          return absl::OkStatus();
        });
    (*seconds)["scan"] = absl::ToDoubleSeconds(absl::Now() - begin);
    CHECK(status.ok() && rows == events) << status;
  });
  const Measured run = InProcess(dir.path(), [&](std::map<std::string, double>* seconds) {
    const v1::SnapshotManifest manifest = Run(config, seconds);
    CHECK_EQ(manifest.events(), events);
  });
  const std::string name = flags.smoke ? "synthetic_smoke" : absl::StrCat("synthetic_", events / 1'000'000, "m");
  report.Add(name + "_peak_rss_gib", run.peak_rss_gib, "GiB", "memory budget", flags.budget_gib);
  const double scan = static_cast<double>(events) / scanned.seconds.at("scan");
  for (const char* step : {"events", "models", "snapshot", "gate"}) {
    report.Add(absl::StrCat(name, "_events_per_s_", step), static_cast<double>(events) / run.seconds.at(step), "1/s",
               "scan of the history", scan);
  }
  report.Add(name + "_events_per_s", static_cast<double>(events) / run.seconds.at("run"), "1/s", "scan of the history", scan);
}

int Main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  Flags flags;
  CLI::App app("A batch run from raw events to a snapshot: time, events a second, memory", "bench_batch");
  app.add_flag("--smoke", flags.smoke, "Small data, no peer");
  app.add_flag("!--no-gowalla", flags.gowalla, "The synthetic events alone");
  app.add_option("--events", flags.events, "Synthetic events (default 10,000,000; 0: none)")->check(CLI::NonNegativeNumber);
  app.add_option("--budget-gib", flags.budget_gib, "Memory of the run over synthetic events (default 8)");
  app.add_option("--threads", flags.threads, "Default 2");
  app.add_option("--set", flags.set, "v1.BatchConfig in text format, laid over the configuration");
  app.add_option("--peer", flags.peer, "Command that runs peers/implicit_als.py; unset: no implicit");
  CLI11_PARSE(app, argc, argv);
  if (flags.smoke) {
    flags.events = 40'000;
  }
  Report report("batch");
  if (flags.gowalla) {
    Gowalla(flags, report);
  }
  if (flags.events > 0) {
    Synthetic(flags, report);
  }
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) { return tributary::bench::Main(argc, argv); }
