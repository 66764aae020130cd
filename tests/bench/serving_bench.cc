// How many Recommend requests of 20 items with scores and reasons one core answers, beside an empty grpc++ handler that
// builds the same message. Server on core 0, client on core 1, each a process of its own; the peer is the faster of the
// callback API and completion queues. Users are uniform over a synthetic snapshot, a tenth of them has live facts; nothing
// caches whole answers. One answer in a hundred is compared byte for byte with one made offline from the same files.
#include <fcntl.h>
#include <glog/logging.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/event_log/topics.h"
#include "common/metrics/metrics.h"
#include "common/snapshot/snapshot.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/topic_follower.h"
#include "serving_layer/requests/recommender.h"
#include "serving_layer/serving_layer.h"
#include "tests/bench/report.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {
namespace {

constexpr int kPartitions = 4;
constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr int kOutstanding = 64;
constexpr int kChannels = 8;

struct Scale {
  int users = 50'000;
  int items = 10'000;
  absl::Duration warm_up = absl::Seconds(2);
  absl::Duration measured = absl::Seconds(6);
};

Scale ScaleOf(bool smoke) {
  return smoke ? Scale{.users = 500, .items = 300, .warm_up = absl::Milliseconds(100), .measured = absl::Milliseconds(300)}
               : Scale();
}

std::string UserId(int user) { return absl::StrCat("user-", user); }

void PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % static_cast<int>(std::max(1U, std::thread::hardware_concurrency())), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    LOG(WARNING) << "not pinned: core=" << core << " error=" << std::strerror(errno);
  }
}

void WriteSnapshot(const std::string& dir, const Scale& scale) {
  std::mt19937_64 random(7);
  const auto item = [&] { return static_cast<uint32_t>(random() % scale.items); };
  auto writer = *SnapshotWriter::Create(dir, Generation{1});
  std::vector<v1::Item> items(scale.items);
  std::vector<std::vector<ScoredItem>> neighbours(scale.items);
  for (int i = 0; i < scale.items; ++i) {
    items[i].set_item_id(absl::StrCat("item-", i));
    items[i].add_categories(absl::StrCat("category-", i % 100));
    items[i].set_price(i % 50);
    for (int n = 1; n <= 50; ++n) {
      neighbours[i].push_back({.item = ItemNumber{static_cast<uint32_t>((i + n) % scale.items)}, .score = 1.0F / n});
    }
  }
  CHECK(writer->WriteItems(items).ok());
  CHECK(writer->WriteNeighbours(neighbours).ok());
  std::vector<std::pair<std::string, int>> users;
  for (int u = 0; u < scale.users; ++u) {
    users.emplace_back(UserId(u), u);
  }
  std::sort(users.begin(), users.end());
  for (const auto& [user_id, u] : users) {
    v1::SnapshotUser user;
    for (int i = 0; i < 100; ++i) {
      user.mutable_list()->add_items((item() / 100 * 100 + i) % scale.items);  // All different.
      user.mutable_list()->add_scores(1.0F / (1 + i));
    }
    std::vector<uint32_t> bought(30);
    std::generate(bought.begin(), bought.end(), item);
    std::sort(bought.begin(), bought.end());
    bought.erase(std::unique(bought.begin(), bought.end()), bought.end());
    for (const uint32_t i : bought) {
      v1::Profile* profile = user.mutable_profile();
      profile->add_items(i);
      profile->add_kinds(v1::PURCHASE);
      profile->add_event_times_unix_ms(1'690'000'000'000);
      profile->add_partitions(-1);
      profile->add_offsets(i);
      profile->add_values_micros(1'000'000);
    }
    CHECK(writer->PutUser(user_id, user).ok());
  }
  v1::ScoredItems popular;
  for (int i = 0; i < std::min(500, scale.items); ++i) {
    popular.add_items(i);
    popular.add_scores(1.0F / (1 + i));
  }
  CHECK(writer->PutPopular(kPopularOverall, popular).ok());
  v1::SnapshotManifest manifest;
  manifest.set_segment_size(1024);
  manifest.set_events_topic("events");
  CHECK(writer->Finish(manifest).ok());
  CHECK(SnapshotStore(dir).Activate(Generation{1}).ok());
}

// The log with live facts for every tenth user: three views and a purchase each.
struct LiveWorld {
  explicit LiveWorld(const std::string& dir, const Scale& scale) : config(DefaultConfig()) {
    config.mutable_storage()->set_snapshots_dir(dir);
    config.mutable_kafka()->set_partitions(kPartitions);
    config.mutable_serving()->set_listen_address("127.0.0.1:0");
    CHECK(log.CreateTopics(TopicsToCreate(topics, config.kafka())).ok());
    auto producer = *log.OpenProducer();
    std::mt19937_64 random(8);
    const auto put = [&](int partition, std::string key, std::string value) {
      CHECK(producer
                ->Produce({.topic = topics.speed_views, .partition = PartitionId{partition}, .key = std::move(key),
                           .value = std::move(value), .headers = {}},
                          absl::Seconds(1))
                .ok());
    };
    for (int u = 0; u < scale.users; u += 10) {
      v1::SpeedView view;
      view.mutable_position()->set_applied_offset(1'000'000);
      for (int f = 0; f < 4; ++f) {
        v1::Fact* fact = view.add_facts();
        fact->set_kind(f == 3 ? v1::PURCHASE : v1::VIEW);
        fact->set_item_id(absl::StrCat("item-", random() % scale.items));
        fact->set_event_time_unix_ms(absl::ToUnixMillis(clock.Now()) - 60'000 * (4 - f));
        fact->set_offset(u * 4 + f);
      }
      put(Value(PartitionOfKey(UserId(u), kPartitions)), UserId(u), view.SerializeAsString());
    }
    v1::Progress progress;
    progress.mutable_position()->set_applied_offset(1'000'000);
    for (int p = 0; p < kPartitions; ++p) {
      put(p, std::string(kProgressKey), progress.SerializeAsString());
    }
  }

  FakeClock clock;  // Stands still: ages are the same wherever the answer is made.
  FakeEventLog log{clock};
  v1::Config config;
  Topics topics{""};
  MetricsRegistry metrics;
};

// Answers as the server does, from the same files, without a server.
class OfflineAnswers {
 public:
  OfflineAnswers(const std::string& dir, const Scale& scale)
      : world_(dir, scale),
        follower_({.topics = world_.topics, .poll_timeout = absl::ZeroDuration()}, world_.log, world_.clock, live_, context_,
                  world_.metrics, [] {}),
        recommender_({.stale_after = absl::Seconds(world_.config.serving().stale_after_seconds()), .segment_size = 1024},
                     policy_, world_.clock, live_, context_, [] { return true; }) {
    CHECK(follower_.Start().ok());
    while (!follower_.ready()) {
      follower_.RunOnce();
    }
    auto snapshot =
        LoadedSnapshot::Load({.snapshots_dir = dir, .block_cache_bytes = int64_t{64} << 20}, Generation{1}, policy_);
    CHECK(snapshot.ok()) << snapshot.status();
    context_.Activate(*std::move(snapshot));
  }

  v1::RecommendResponse Recommend(const v1::RecommendRequest& request) const {
    v1::RecommendResponse response;
    const absl::Status status = recommender_.Recommend(request, &response);
    CHECK(status.ok()) << status;
    return response;
  }

 private:
  LiveWorld world_;
  const MergePolicy policy_ = *MergePolicy::FromProto(world_.config.merge());
  LiveState live_;
  ContextPublisher context_;
  TopicFollower follower_;
  Recommender recommender_;
};

// ---- Servers, each in a process of its own ----

void SayPortAndWait(int port) {
  std::printf("%d\n", port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {  // Until the client closes its end.
  }
}

void ServeOurs(const std::string& dir, const Scale& scale) {
  LiveWorld world(dir, scale);
  auto serving = ServingLayer::Start(world.config, world.log, world.clock, world.metrics);
  CHECK(serving.ok()) << serving.status();
  while (!(*serving)->ready()) {
    std::this_thread::yield();
  }
  SayPortAndWait((*serving)->port());
}

v1::RecommendResponse Template(const std::string& file) {
  std::FILE* in = std::fopen(file.c_str(), "rb");
  CHECK(in != nullptr) << file;
  std::string bytes(1 << 20, '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), in));
  std::fclose(in);
  v1::RecommendResponse response;
  CHECK(response.ParseFromString(bytes));
  return response;
}

class EmptyCallback final : public v1::RecommendationService::CallbackService {
 public:
  explicit EmptyCallback(v1::RecommendResponse answer) : answer_(std::move(answer)) {}
  grpc::ServerUnaryReactor* Recommend(grpc::CallbackServerContext* context, const v1::RecommendRequest*,
                                      v1::RecommendResponse* response) override {
    *response = answer_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status());
    return reactor;
  }

 private:
  const v1::RecommendResponse answer_;
};

void ServeEmptyCallback(const std::string& answer_file) {
  EmptyCallback service(Template(answer_file));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  SayPortAndWait(port);
  server->Shutdown(std::chrono::system_clock::now());
}

void ServeEmptyQueue(const std::string& answer_file) {
  using Service = v1::RecommendationService::WithAsyncMethod_Recommend<v1::RecommendationService::Service>;
  struct Call {
    grpc::ServerContext context;
    v1::RecommendRequest request;
    grpc::ServerAsyncResponseWriter<v1::RecommendResponse> writer{&context};
    bool answered = false;
  };
  const v1::RecommendResponse answer = Template(answer_file);
  Service service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto queue = builder.AddCompletionQueue();
  auto server = builder.BuildAndStart();
  const auto listen = [&] {
    auto* call = new Call;
    service.RequestRecommend(&call->context, &call->request, &call->writer, queue.get(), queue.get(), call);
  };
  for (int i = 0; i < 2 * kOutstanding; ++i) {
    listen();
  }
  std::thread worker([&] {
    void* tag = nullptr;
    bool ok = false;
    while (queue->Next(&tag, &ok)) {
      auto* call = static_cast<Call*>(tag);
      if (!ok || call->answered) {
        delete call;
        continue;
      }
      listen();
      v1::RecommendResponse response = answer;
      call->answered = true;
      call->writer.Finish(response, grpc::Status(), call);
    }
  });
  SayPortAndWait(port);
  server->Shutdown(std::chrono::system_clock::now());
  queue->Shutdown();
  worker.join();
}

// ---- The client ----

// This program as a server in a process of its own, on the server's core.
class ServerProcess {
 public:
  explicit ServerProcess(std::vector<std::string> arguments) {
    int in[2];
    int out[2];
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    arguments.insert(arguments.begin(), "/proc/self/exe");
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    child_ = fork();
    CHECK(child_ >= 0);
    if (child_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      PinTo(kServerCore);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_child_ = in[1];
    std::FILE* answers = fdopen(out[0], "r");
    CHECK(std::fscanf(answers, "%d", &port_) == 1) << "server did not start: " << arguments[1];
    std::fclose(answers);
  }
  ~ServerProcess() {
    close(to_child_);
    waitpid(child_, nullptr, 0);
  }
  int port() const { return port_; }

 private:
  pid_t child_ = -1;
  int to_child_ = -1;
  int port_ = 0;
};

struct Load {
  double requests_per_second = 0;
  std::vector<std::pair<v1::RecommendRequest, v1::RecommendResponse>> sample;   // One in a hundred.
};

Load Run(int port, const Scale& scale) {
  struct Call {
    grpc::ClientContext context;
    v1::RecommendRequest request;
    v1::RecommendResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RecommendResponse>> reader;
    size_t stub = 0;
  };
  std::vector<std::unique_ptr<v1::RecommendationService::Stub>> stubs;
  for (int c = 0; c < kChannels; ++c) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("bench.channel", c);  // A connection of its own.
    stubs.push_back(v1::RecommendationService::NewStub(grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments)));
  }
  grpc::CompletionQueue queue;
  std::mt19937_64 random(9);
  const auto send = [&](size_t stub) {
    auto* call = new Call;
    call->stub = stub;
    call->request.set_user_id(UserId(static_cast<int>(random() % scale.users)));
    call->request.set_limit(20);
    call->reader = stubs[stub]->AsyncRecommend(&call->context, call->request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
  };
  for (int i = 0; i < kOutstanding; ++i) {
    send(i % kChannels);
  }
  Load load;
  const auto start = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(scale.warm_up);
  const auto end = start + absl::ToChronoNanoseconds(scale.measured);
  int64_t answered = 0;
  int64_t measured = 0;
  int outstanding = kOutstanding;
  void* tag = nullptr;
  bool ok = false;
  while (outstanding > 0 && queue.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    CHECK(call->status.ok()) << call->status.error_message();
    const auto now = std::chrono::steady_clock::now();
    measured += now >= start && now < end;
    if (++answered % 100 == 0) {
      load.sample.emplace_back(call->request, call->response);
    }
    if (now < end) {
      send(call->stub);
    } else {
      --outstanding;
    }
  }
  queue.Shutdown();
  load.requests_per_second = static_cast<double>(measured) / absl::ToDoubleSeconds(scale.measured);
  return load;
}

int Main(bool smoke) {
  const Scale scale = ScaleOf(smoke);
  std::string dir = (std::filesystem::temp_directory_path() / "tributary_bench_XXXXXX").string();
  CHECK(mkdtemp(dir.data()) != nullptr);
  const std::string snapshots = dir + "/snapshots";
  std::filesystem::create_directory(snapshots);
  WriteSnapshot(snapshots, scale);
  PinTo(kClientCore);

  const std::string size = smoke ? "smoke" : "full";
  Load ours;
  {
    ServerProcess server({"--serve", "ours", snapshots, size});
    ours = Run(server.port(), scale);
  }
  CHECK(!ours.sample.empty());
  {
    const OfflineAnswers offline(snapshots, scale);
    for (const auto& [request, response] : ours.sample) {
      CHECK_EQ(response.SerializeAsString(), offline.Recommend(request).SerializeAsString())
          << "answer differs from the offline merge: " << request.ShortDebugString();
    }
    std::fprintf(stderr, "answers equal to the offline merge: %zu\n", ours.sample.size());
  }
  const std::string answer_file = dir + "/answer";
  std::FILE* out = std::fopen(answer_file.c_str(), "wb");
  const std::string bytes = ours.sample.front().second.SerializeAsString();
  CHECK(std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
  std::fclose(out);
  double callback = 0;
  double queue = 0;
  {
    ServerProcess server({"--serve", "callback", answer_file, size});
    callback = Run(server.port(), scale).requests_per_second;
  }
  {
    ServerProcess server({"--serve", "queue", answer_file, size});
    queue = Run(server.port(), scale).requests_per_second;
  }
  std::filesystem::remove_all(dir);
  bench::Report report("serving");
  report.Add("empty_callback_rps", callback, "requests/s");
  report.Add("empty_queue_rps", queue, "requests/s");
  report.Add("recommend_20_rps", ours.requests_per_second, "requests/s",
             callback > queue ? "empty grpc++ callback handler" : "empty grpc++ completion queue handler",
             std::max(callback, queue));
  return 0;
}

}  // namespace
}  // namespace tributary::serving

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_WARNING;
  using namespace tributary::serving;
  if (argc == 5 && std::strcmp(argv[1], "--serve") == 0) {
    const std::string mode = argv[2];
    const Scale scale = ScaleOf(std::strcmp(argv[4], "smoke") == 0);
    if (mode == "ours") {
      ServeOurs(argv[3], scale);
    } else if (mode == "callback") {
      ServeEmptyCallback(argv[3]);
    } else {
      ServeEmptyQueue(argv[3]);
    }
    return 0;
  }
  return Main(argc > 1 && std::strcmp(argv[1], "--smoke") == 0);
}
