// Serving a catalogue of a million items to a million users, asked at a steady rate:
//
//   one_million_p99_ms         20,000 requests a second and 5,000 speed views a second fed in; server on core 0, client on
//                              core 1. With _p50 and _p999 beside it. Peer: an empty grpc++ handler with the same answer, at
//                              the same rate, nothing fed in: what gRPC and the machine's own pauses leave.
//   swap_p99_ratio             The same while another snapshot is activated and rolled back, twice: p99 from each word of it
//                              until a second after the first answer from there, over p99 before. No request may fail.
//   swap_peak_rss_ratio        The server's memory at most in that time, over what it was with one snapshot.
//   cold_start_s               From the start of tributary-serving, killed before, to SERVING with its snapshot on a real Kafka,
//                              with a speed view for every user. Peer: reading these views from Kafka and doing nothing.
//   one_million_full_stack_rps The highest rate that broker, speed layer, serving and clients hold together on all cores
//                              with p99 below 5 ms, 500 events a second being published to Kafka meanwhile.
//                              With _p99_ms beside it, of which the peer is the empty handler at that rate and nothing else.
//
// The snapshots are made in the folder --world, and taken from there the next time.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/event_log/event_log.h"
#include "common/process/stop_signal.h"
#include "common/snapshot/snapshot.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/bench/empty_server.h"
#include "tests/bench/enqueue.h"
#include "tests/bench/recommend_load.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"
#include "tests/bench/serving_world.h"
#include "tests/bench/statistics.h"
#include "tests/fakes/temp_dir.h"
#include "tests/integration/installation.h"

namespace tributary::serving {
namespace {

constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr int kPartitions = 4;
constexpr absl::string_view kEmptyHandler = "empty grpc++ callback handler";
constexpr absl::Duration kAfterSwap = absl::Seconds(1);

struct Options {
  std::string world;
  Scale scale = {.users = 1'000'000,
                 .items = 1'000'000,
                 .sessions = 2'000'000,
                 .warm_up = absl::Seconds(5),
                 .measured = absl::Seconds(15)};
  int rate = 20'000;
  int fed = 5'000;               // Speed views a second.
  int events = 500;              // Published a second, in the full stack.
  std::vector<int> rates = {4'000, 6'000, 8'000, 10'000, 12'000, 14'000, 16'000, 20'000};
  double held_ms = 5;            // p99 that counts as held.
  int starts = 3;
  absl::Duration between_swaps = absl::Seconds(30);   // A snapshot is loaded in what the requests leave of core 0.
  bool million = false;
  bool swap = false;
  bool cold = false;
  bool full_stack = false;
};

// The snapshots of the world: generation 1 is active.
void MakeWorld(const Options& options) {
  const SnapshotStore store(options.world);
  std::filesystem::create_directories(options.world);
  for (const Generation generation : {Generation{1}, Generation{2}}) {
    if (store.ReadManifest(generation).ok()) continue;
    std::cerr << "writing generation " << Value(generation) << " in " << options.world << "\n";
    WriteSnapshot(options.world, options.scale, generation);
  }
  CHECK(SnapshotStore(options.world).Activate(Generation{1}).ok());
}

// Server: the snapshots of the world, and speed views that change at the rate, those of a millisecond together: the speed layer
// writes all that it has at most every half of one.
void Serve(const std::string& world_dir, const Options& options) {
  LiveWorld world(world_dir, options.scale);
  world.config.mutable_serving()->set_snapshot_poll_ms(100);
  std::atomic<bool> ending{false};
  std::thread feeder;
  ServeOurs(world, [&] {
    feeder = std::thread([&] {
      const absl::Time begin = absl::Now();
      int64_t fed = 0;
      for (int64_t ms = 1; !ending.load(); ++ms) {
        absl::SleepFor(begin + absl::Milliseconds(ms) - absl::Now());
        for (const int64_t due = ms * options.fed / 1000; fed < due; ++fed) {
          world.Feed();
        }
      }
    });
  });
  ending.store(true);
  feeder.join();
}

std::string Local(int port) { return absl::StrCat("127.0.0.1:", port); }

Load LoadOf(const Options& options, std::string address) {
  return {.address = std::move(address),
          .users = options.scale.users,
          .requests_per_second = options.rate,
          .warm_up = options.scale.warm_up,
          .measured = options.scale.measured};
}

// From the client's core alone: what is started later runs where it likes.
void OnClientCore(const std::function<void()>& client) {
  std::thread([&] {
    PinTo(kClientCore);
    client();
  }).join();
}

v1::RecommendResponse AskOnce(const std::string& address) {
  grpc::ClientContext context;
  v1::RecommendRequest request;
  request.set_user_id(UserId(0));
  request.set_limit(20);
  v1::RecommendResponse answer;
  const grpc::Status status = Connect(address, 1).front()->Recommend(&context, request, &answer);
  CHECK(status.ok()) << status.error_message();
  return answer;
}

// What an empty handler with that answer takes, in the place of the server.
LoadResult AskEmpty(const Options& options, int rate, const v1::RecommendResponse& answer, bool pinned) {
  const TempDir dir("tributary-bench");
  const std::string file = dir.Join("answer");
  WriteAnswer(answer, file);
  const ServerProcess server({"--serve-empty", file}, pinned ? std::optional(kServerCore) : std::nullopt);
  Load load = LoadOf(options, Local(server.port()));
  load.requests_per_second = rate;
  if (!pinned) return AskSteadily(load);
  LoadResult result;
  OnClientCore([&] { result = AskSteadily(load); });
  return result;
}

void ReportMillion(const Options& options, const LoadResult& ours, const LoadResult& empty, bench::Report& report) {
  CHECK_EQ(ours.failed, 0) << ours.first_failure;
  for (const auto& [name, share] : {std::pair("p50", 0.5), std::pair("p99", 0.99), std::pair("p999", 0.999)}) {
    report.Add(absl::StrCat("one_million_", name, "_ms_at_", options.rate),
               bench::MillisecondsWithin(TimesOf(ours.answers), share), "ms", std::string(kEmptyHandler),
               bench::MillisecondsWithin(TimesOf(empty.answers), share));
  }
}

void MeasureSwaps(const Options& options, const ServerProcess& server, bench::Report& report) {
  struct Swap {
    absl::Time said;
    int64_t generation;
  };
  std::vector<Swap> swaps;
  std::atomic<bool> ended{false};
  int64_t before_bytes = 0;
  std::atomic<int64_t> peak_bytes{0};
  std::thread operating([&] {
    SnapshotStore store(options.world);
    absl::Time next = absl::Now() + options.scale.warm_up + options.between_swaps;
    for (const int64_t generation : {2, 1, 2, 1}) {
      absl::SleepFor(next - absl::Now());
      next += options.between_swaps;
      if (swaps.empty()) before_bytes = server.ResidentBytes();
      swaps.push_back({absl::Now(), generation});
      CHECK(store.Activate(Generation{generation}).ok());
    }
  });
  std::thread watching([&] {
    while (!ended.load()) {
      peak_bytes = std::max(peak_bytes.load(), server.ResidentBytes());
      absl::SleepFor(absl::Milliseconds(20));
    }
  });
  Load load = LoadOf(options, Local(server.port()));
  load.measured = 5 * options.between_swaps;
  const LoadResult result = AskSteadily(load);
  ended.store(true);
  operating.join();
  watching.join();
  CHECK_EQ(result.failed, 0) << result.first_failure;

  std::vector<Answered> before, during;
  for (const Answered& answer : result.answers) {
    if (answer.due < swaps.front().said) before.push_back(answer);
  }
  for (const Swap& swap : swaps) {
    absl::Time first = absl::InfiniteFuture();
    for (const Answered& answer : result.answers) {
      if (answer.generation == swap.generation && answer.due + answer.took > swap.said) {
        first = std::min(first, answer.due + answer.took);
      }
    }
    CHECK(first < absl::InfiniteFuture()) << "never served: generation " << swap.generation;
    std::cerr << "generation " << swap.generation << ": first answer " << first - swap.said << " after the word\n";
    for (const Answered& answer : result.answers) {
      if (answer.due >= swap.said && answer.due < first + kAfterSwap) during.push_back(answer);
    }
  }
  const double p99_before = bench::MillisecondsWithin(TimesOf(before), 0.99);
  const double p99_during = bench::MillisecondsWithin(TimesOf(during), 0.99);
  report.Add("swap_p99_ms", p99_during, "ms", "before the swap", p99_before);
  report.Add("swap_p99_ratio", p99_during / p99_before, "ratio");
  report.Add("swap_peak_rss_ratio", static_cast<double>(peak_bytes.load()) / static_cast<double>(before_bytes), "ratio");
}

// ---- on a real Kafka ------------------------------------------------------------------------------------------------

// The world's active snapshot as an installation's.
void Install(const Options& options, const integration::Installation& installation) {
  const std::string to = installation.dir() + "/snapshots";
  std::filesystem::copy(options.world + "/1", to + "/1",
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::create_hard_links);
  CHECK(SnapshotStore(to).Activate(Generation{1}).ok());
}

v1::Event ViewOf(int user, int64_t n, int items) {
  v1::Event event;
  event.set_user_id(UserId(user));
  event.set_type(v1::VIEW);
  event.set_item_id(absl::StrCat("item-", (n * 7919) % items));
  event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  return event;
}

void Produce(LogProducer& producer, const std::string& topic, const v1::Event& event) {
  bench::Enqueue(producer, {.topic = topic, .key = event.user_id(), .value = event.SerializeAsString()});
}

void AwaitHealth(const std::string& address) {
  const auto health =
      grpc::health::v1::Health::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  integration::Await("health says SERVING", [&] {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    grpc::health::v1::HealthCheckResponse response;
    return health->Check(&context, {}, &response).ok() &&
           response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  });
}

// Seconds to read all records of a topic.
double SecondsToRead(integration::Installation& installation, const std::string& topic) {
  const absl::Time begin = absl::Now();
  auto reader = installation.log().OpenReader(Isolation::kUncommitted);
  CHECK(reader.ok()) << reader.status();
  for (int p = 0; p < kPartitions; ++p) CHECK((*reader)->Start({topic, PartitionId{p}}, Offset{0}).ok());
  for (int ended = 0; ended < kPartitions;) {
    const auto events = (*reader)->Poll(absl::Seconds(1), 10'000);
    CHECK(events.ok()) << events.status();
    ended += static_cast<int>(std::count_if(events->begin(), events->end(),
                                            [](const LogEvent& e) { return !std::holds_alternative<LogRecord>(e); }));
  }
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

void MeasureColdStart(const Options& options, bench::Report& report) {
  integration::Installation installation("cold", kPartitions, 1000);
  Install(options, installation);
  auto serving = installation.StartServing();
  {
    auto producer = installation.log().OpenProducer();
    CHECK(producer.ok()) << producer.status();
    for (int user = 0; user < options.scale.users; ++user) {
      Produce(**producer, installation.topic("events"), ViewOf(user, user, options.scale.items));
    }
    CHECK((*producer)->Flush(absl::Minutes(1)).ok());
    const auto speed = installation.StartSpeed();
    installation.AwaitCaughtUp();
  }
  std::vector<double> seconds;
  for (int start = 0; start < options.starts; ++start) {
    serving.reset();
    const absl::Time begin = absl::Now();
    serving = installation.StartServing();
    AwaitHealth(installation.address());
    installation.AwaitGeneration(1);   // Installations answer without a snapshot, too.
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - begin));
    std::cerr << "start " << start + 1 << ": " << seconds.back() << " s to SERVING, with the snapshot\n";
  }
  report.Add("cold_start_s", bench::Median(seconds), "s", "reading the speed views and doing nothing",
             SecondsToRead(installation, installation.topic("speed-views")));
}

void MeasureFullStack(const Options& options, bench::Report& report) {
  integration::Installation installation("stack", kPartitions, 200);
  Install(options, installation);
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  AwaitHealth(installation.address());
  std::atomic<bool> ending{false};
  std::thread publishing([&] {
    auto producer = installation.log().OpenProducer();
    CHECK(producer.ok()) << producer.status();
    std::mt19937_64 random(3);
    const absl::Time begin = absl::Now();
    for (int64_t n = 0; !ending.load(); ++n) {
      absl::SleepFor(begin + n * absl::Seconds(1) / options.events - absl::Now());
      const int user = static_cast<int>(random() % static_cast<uint64_t>(options.scale.users));
      Produce(**producer, installation.topic("events"), ViewOf(user, n, options.scale.items));
    }
    CHECK((*producer)->Flush(absl::Minutes(1)).ok());
  });
  double held = 0;
  double held_p99 = 0;
  for (const int rate : options.rates) {
    Load load = LoadOf(options, installation.address());
    load.requests_per_second = rate;
    const LoadResult result = AskSteadily(load);
    const double p99 = result.failed > 0 ? absl::ToDoubleMilliseconds(absl::Hours(1)) : bench::MillisecondsWithin(TimesOf(result.answers), 0.99);
    std::cerr << rate << "/s: p50 " << bench::MillisecondsWithin(TimesOf(result.answers), 0.5) << ", p99 " << p99 << " ms, "
              << result.failed << " failed " << result.first_failure << "\n";
    if (p99 > options.held_ms) break;
    held = rate;
    held_p99 = p99;
  }
  ending.store(true);
  publishing.join();
  const absl::Time stopped = absl::Now();
  installation.AwaitCaughtUp();
  std::cerr << "everything published was applied " << absl::Now() - stopped << " after the end\n";
  report.Add("one_million_full_stack_rps", held, "requests/s");
  if (held == 0) return;
  const LoadResult empty = AskEmpty(options, static_cast<int>(held), AskOnce(installation.address()), /*pinned=*/false);
  report.Add("one_million_full_stack_p99_ms", held_p99, "ms", std::string(kEmptyHandler),
             bench::MillisecondsWithin(TimesOf(empty.answers), 0.99));
}

int Main(Options options) {
  std::optional<TempDir> dir;
  if (options.world.empty()) {
    dir.emplace("tributary-bench");
    options.world = dir->path();
  }
  MakeWorld(options);
  bench::Report report("serving");
  if (options.million || options.swap) {
    LoadResult million;
    v1::RecommendResponse answer;
    {
      const ServerProcess server({"--serve", options.world, absl::StrCat(options.scale.users),
                                  absl::StrCat(options.scale.items), absl::StrCat(options.fed)},
                                 kServerCore);
      OnClientCore([&] {
        answer = AskOnce(Local(server.port()));
        if (options.million) million = AskSteadily(LoadOf(options, Local(server.port())));
        if (options.swap) MeasureSwaps(options, server, report);
      });
    }
    if (options.million) {
      ReportMillion(options, million, AskEmpty(options, options.rate, answer, /*pinned=*/true), report);
    }
  }
  if (options.cold) MeasureColdStart(options, report);
  if (options.full_stack) MeasureFullStack(options, report);
  return 0;
}

}  // namespace
}  // namespace tributary::serving

int main(int argc, char** argv) {
  using namespace tributary::serving;
  tributary::InitLogging(argv[0]);
  Options options;
  if (argc == 6 && std::strcmp(argv[1], "--serve") == 0) {
    options.scale.users = std::stoi(argv[3]);
    options.scale.items = std::stoi(argv[4]);
    options.fed = std::stoi(argv[5]);
    Serve(argv[2], options);
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "--serve-empty") == 0) {
    ServeEmptyCallback(argv[2]);
    return 0;
  }
  bool smoke = false;
  CLI::App app{"A million users and items: latency at a steady rate, swaps, cold start, the full stack."};
  app.add_option("--world", options.world, "folder of the snapshots, made when missing (default: made and removed)");
  app.add_option("--rate", options.rate, "requests a second")->check(CLI::Range(1, 1'000'000));
  app.add_option("--fed", options.fed, "speed views a second")->check(CLI::Range(1, 1'000'000));
  app.add_option("--rates", options.rates, "of the full stack, rising")->delimiter(',');
  app.add_flag("--million", options.million, "only this, and what else is named");
  app.add_flag("--swap", options.swap, "only this, and what else is named");
  app.add_flag("--cold", options.cold, "only this, and what else is named");
  app.add_flag("--full-stack", options.full_stack, "only this, and what else is named");
  app.add_flag("--smoke", smoke, "a short run on a small world");
  CLI11_PARSE(app, argc, argv);
  if (!options.million && !options.swap && !options.cold && !options.full_stack) {
    options.million = options.swap = options.cold = options.full_stack = true;
  }
  if (smoke) {
    options.scale = {.users = 500,
                     .items = 300,
                     .sessions = 1'000,
                     .warm_up = absl::Milliseconds(200),
                     .measured = absl::Seconds(2)};
    options.rate = 500;
    options.fed = 100;
    options.events = 50;
    options.rates = {100};
    options.held_ms = 60'000;   // That it runs is what is looked at, on whatever machine.
    options.starts = 1;
    options.between_swaps = absl::Seconds(3);
  }
  return Main(options);
}
