// Session recommendation as it is served, on the sets of bench sessions:
//
//   sessions/yoochoose_rps       Anonymous visitors who click on (Recommend by recent_items), each request with a session that
//                                has just changed: requests a second, server on core 0, client on core 1, and the quality of
//                                these answers. The snapshot has the session index alone. Peer: what Serenade answered on a
//                                machine like this (../shared/data/README.md).
//   sessions/served_SET_...      Through everything: tributary-batch learns from the train part; each click of the test part is
//                                published, waited for and answered, on a real Kafka. Visitors come now, one after the other: of
//                                the last ones' the first ones' clicks are known.
//                                _without_speed: the same requests with the speed layer gone.
//
// A list leaves out what the visitor looks at, but for rsc15_387, whose published lists do not. --smoke takes small synthetic sessions.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/process/stop_signal.h"
#include "common/snapshot/snapshot.h"
#include "common/sync/mutex.h"
#include "tests/bench/recommend_load.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"
#include "tests/bench/serving_world.h"
#include "tests/bench/session_sets.h"
#include "tests/bench/statistics.h"
#include "tests/fakes/temp_dir.h"
#include "tests/integration/installation.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {
namespace {

using bench::SessionQuality;
using bench::SessionSplit;

constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr int kOutstanding = 64;
constexpr int kConnections = 8;
constexpr int kVisitorsAtOnce = 8;
constexpr size_t kMostRecentItems = 100;
constexpr double kSerenadeRps = 4'580;

std::string ItemId(uint32_t item) { return absl::StrCat("item-", item); }

// From 1, among the first `length` items but `left_out`; 0: not there.
size_t RankOf(uint32_t next, const v1::RecommendResponse& response, size_t length, const std::string& left_out = "") {
  const std::string id = ItemId(next);
  size_t rank = 0;
  for (const v1::RecommendedItem& item : response.items()) {
    if (item.item_id() == left_out) continue;
    if (++rank > length) break;
    if (item.item_id() == id) return rank;
  }
  return 0;
}

// ---- visitors without a user id, one server --------------------------------------------------------------------------

void WriteSessionSnapshot(const std::string& dir, const SessionSplit& split) {
  auto writer = *SnapshotWriter::Create(dir, Generation{1});
  std::vector<v1::Item> items(split.items);
  for (uint32_t i = 0; i < split.items; ++i) items[i].set_item_id(ItemId(i));
  CHECK(writer->WriteItems(items).ok());
  CHECK(writer->WriteNeighbours(std::vector<std::vector<ScoredItem>>(split.items)).ok());
  const int sessions_per_item = DefaultConfig().batch().sessions_per_item();
  const SessionIndexArrays arrays =
      SessionIndexArrays::Build(split.train, split.items, static_cast<size_t>(sessions_per_item));
  CHECK(writer->WriteSessions(arrays.index()).ok());
  v1::SnapshotManifest manifest;
  manifest.set_segment_size(1024);
  CHECK(writer->Finish(manifest).ok());
  CHECK(SnapshotStore(dir).Activate(Generation{1}).ok());
}

void ServeVisitors(const std::string& dir) {
  LiveWorld world(dir, {.users = 0});
  ServeOurs(world);
}

// Every place of every test session but the first, once.
double AskForVisitors(int port, const std::vector<PastSession>& sessions, int length, SessionQuality* quality) {
  struct Call {
    grpc::ClientContext context;
    v1::RecommendResponse response;
    grpc::Status status;
    uint32_t next = 0;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RecommendResponse>> reader;
  };
  const auto stubs = Connect(absl::StrCat("127.0.0.1:", port), kConnections);
  grpc::CompletionQueue queue;
  size_t session = 0, place = 1, sent = 0;
  const auto send = [&] {
    while (session < sessions.size() && place >= sessions[session].items.size()) {
      ++session;
      place = 1;
    }
    if (session == sessions.size()) return false;
    const std::vector<uint32_t>& items = sessions[session].items;
    auto* call = new Call;
    call->next = items[place];
    v1::RecommendRequest request;
    request.set_limit(length);
    for (size_t i = place - std::min(place, kMostRecentItems); i < place; ++i) request.add_recent_items(ItemId(items[i]));
    request.mutable_filter()->add_exclude_items(ItemId(items[place - 1]));
    ++place;
    call->reader = stubs[sent++ % stubs.size()]->AsyncRecommend(&call->context, request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
    return true;
  };
  const absl::Time begin = absl::Now();
  int outstanding = 0;
  while (outstanding < kOutstanding && send()) ++outstanding;
  void* tag = nullptr;
  bool ok = false;
  while (outstanding > 0 && queue.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    CHECK(call->status.ok()) << call->status.error_message();
    quality->Add(RankOf(call->next, call->response, static_cast<size_t>(length)));
    if (!send()) --outstanding;
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  queue.Shutdown();
  return static_cast<double>(sent) / seconds;
}

void MeasureVisitors(const std::string& name, const SessionSplit& split, int length, bench::Report& report) {
  const TempDir dir("tributary-bench");
  WriteSessionSnapshot(dir.path(), split);
  const ServerProcess server({"--serve", dir.path()}, kServerCore);
  std::thread client([&] {
    PinTo(kClientCore);
    SessionQuality quality;   // Of the first pass: a second one would ask what has been asked.
    const double rate = AskForVisitors(server.port(), split.test, length, &quality);
    quality.Finish();
    report.Add(absl::StrCat("sessions/", name, "_rps"), rate, "requests/s", "Serenade, one core", kSerenadeRps);
    report.Add(absl::StrCat("sessions/served_", name, "_hr_at_", length), quality.hit_rate, "ratio");
    report.Add(absl::StrCat("sessions/served_", name, "_mrr_at_", length), quality.mrr, "ratio");
  });
  client.join();
}

// ---- published, waited for, answered ----------------------------------------------------------------------------------

void Learn(const SessionSplit& split, integration::Installation& installation) {
  const std::string clicks = installation.dir() + "/clicks.csv";
  {
    std::ofstream out(clicks);
    out << "time,session,item\n";
    for (size_t s = 0; s < split.train.size(); ++s) {
      const PastSession& session = split.train[s];
      for (size_t i = 0; i < session.items.size(); ++i) {
        const auto behind = static_cast<int64_t>(session.items.size() - 1 - i);
        out << session.time_unix_ms - behind << ",train-" << s << "," << ItemId(session.items[i]) << "\n";
      }
    }
  }
  const std::string mapping = installation.dir() + "/mapping";
  std::ofstream(mapping) << R"(
      format: CSV
      event_time { value { text: "{time}" } format: "unix_ms" }
      type_rules { type: VIEW }
      user_id { text: "{session}" }
      session_id { text: "{session}" }
      item_id { text: "{item}" })";
  const integration::Finished imported = installation.Run(
      "tributary-batch", {"--config", installation.config_path(), "import", clicks, "--mapping", mapping});
  CHECK_EQ(imported.exit_status, 0) << imported.output;
  const integration::Finished ran = installation.Run("tributary-batch", {"--config", installation.config_path(), "run"});
  CHECK_EQ(ran.exit_status, 0) << ran.output;
}

struct Replay {
  SessionQuality quality;
  SessionQuality first_99;   // Sessions, what the visitor looks at being an item like others, as in the published lists.
  std::vector<absl::Duration> took;
};

// Each test session click by click, some visitors at once.
Replay ReplayTest(const std::vector<PastSession>& sessions, int length, bool wait, const std::string& prefix,
                  integration::Installation& installation) {
  Replay replay;
  Mutex mutex;
  std::atomic<size_t> next_session{0};
  std::vector<std::thread> visitors;
  for (int v = 0; v < kVisitorsAtOnce; ++v) {
    visitors.emplace_back([&] {
      for (size_t s = next_session++; s < sessions.size(); s = next_session++) {
        const std::vector<uint32_t>& items = sessions[s].items;
        const std::string user = absl::StrCat(prefix, s);
        for (size_t i = 0; i + 1 < items.size(); ++i) {
          const absl::Time begin = absl::Now();
          const v1::PublishResponse published = installation.Publish(user, v1::VIEW, ItemId(items[i]));
          v1::RecommendRequest request;
          request.set_user_id(user);
          request.set_limit(length + 1);
          if (wait) {
            *request.mutable_min_freshness() = published.token();
            request.mutable_max_wait()->set_seconds(10);
          }
          grpc::ClientContext context;
          v1::RecommendResponse response;
          const grpc::Status status = installation.recommendations().Recommend(&context, request, &response);
          CHECK(status.ok()) << status.error_message();
          const absl::Duration took = absl::Now() - begin;
          for (const int degradation : response.freshness().degraded()) {
            CHECK_NE(degradation, v1::FRESHNESS_NOT_REACHED) << user << " click " << i;
          }
          const auto places = static_cast<size_t>(length);
          MutexLock lock(mutex);
          replay.quality.Add(RankOf(items[i + 1], response, places, ItemId(items[i])));
          if (s < 99) replay.first_99.Add(RankOf(items[i + 1], response, places));
          replay.took.push_back(took);
        }
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  replay.quality.Finish();
  replay.first_99.Finish();
  return replay;
}

void MeasureServed(const std::string& name, const SessionSplit& split, int length, bench::Report& report) {
  integration::Installation installation("sessions", 3, 200);
  Learn(split, installation);
  const auto serving = installation.StartServing();
  auto speed = installation.StartSpeed();
  installation.AwaitGeneration(1);
  const std::string prefix = absl::StrCat("sessions/served_", name);
  const Replay replay = ReplayTest(split.test, length, true, "visitor-", installation);
  std::cerr << absl::StrFormat("%s: %d places: HR@%d %.4f MRR %.4f; from a click to the answer %.1f ms, p99 %.1f; first 99 "
                               "sessions: %d places, HR %.4f\n",
                               prefix, replay.quality.places, length, replay.quality.hit_rate, replay.quality.mrr,
                               bench::MillisecondsWithin(replay.took, 0.5),
                               bench::MillisecondsWithin(replay.took, 0.99),
                               replay.first_99.places, replay.first_99.hit_rate);
  report.Add(absl::StrCat(prefix, "_hr_at_", length), replay.quality.hit_rate, "ratio");
  report.Add(absl::StrCat(prefix, "_mrr_at_", length), replay.quality.mrr, "ratio");
  if (name == "rsc15") {
    CHECK_EQ(replay.first_99.places, 387);
    report.Add("sessions/rsc15_387_hr_at_20", replay.first_99.hit_rate, "ratio", "V-SKNN of session-rec", 0.6098);
  }
  speed.reset();
  const Replay without = ReplayTest(split.test, length, false, "late-visitor-", installation);
  report.Add(absl::StrCat(prefix, "_without_speed_hr_at_", length), without.quality.hit_rate, "ratio");
  report.Add(absl::StrCat(prefix, "_without_speed_mrr_at_", length), without.quality.mrr, "ratio");
}

}  // namespace
}  // namespace tributary::serving

int main(int argc, char** argv) {
  using namespace tributary::serving;
  using namespace tributary::bench;
  tributary::InitLogging(argv[0]);
  if (argc == 3 && std::strcmp(argv[1], "--serve") == 0) {
    ServeVisitors(argv[2]);
    return 0;
  }
  bool smoke = false;
  std::string only;
  CLI::App app{"Session recommendation as it is served."};
  app.add_option("--only", only, "One set: yoochoose, serenade, rsc15");
  app.add_flag("--smoke", smoke, "a short run on synthetic sessions");
  CLI11_PARSE(app, argc, argv);
  Report report("sessions");
  if (smoke) {
    const SessionSplit split{.train = SyntheticWalks(500, 100), .test = SyntheticWalks(20, 100), .items = 100};
    MeasureVisitors("synthetic", split, 20, report);
    MeasureServed("synthetic", split, 20, report);
    return 0;
  }
  if (only.empty() || only == "yoochoose") MeasureVisitors("yoochoose", ReadYoochoose(16, 5'000), 21, report);
  if (only.empty() || only == "serenade") {
    MeasureServed("serenade", ReadSessions("serenade-example/train.txt.zst", "serenade-example/test.txt"), 20, report);
  }
  if (only.empty() || only == "rsc15") {
    MeasureServed("rsc15",
                  ReadSessions("rsc15-100k/yoochoose-clicks-100k_train_full.txt.zst",
                               "rsc15-100k/yoochoose-clicks-100k_test.txt.zst"),
                  20, report);
  }
  return 0;
}
