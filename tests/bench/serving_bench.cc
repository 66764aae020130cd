// How many Recommend requests of 20 items with scores and reasons one core answers, and what an answer costs the server
// in CPU time, beside an empty grpc++ handler that builds the same message. Server on core 0, client on core 1, each a
// process of its own; the peer is the faster of the callback API and completion queues; the three servers take turns,
// and each figure is the median of its turns. Users are uniform over a synthetic snapshot, a tenth of them has live
// facts; nothing caches whole answers. Apart: users with live facts alone, and the same as if each had acted since the
// request before: no list is kept, so that every answer folds the user in and looks for session neighbours. One answer
// in a hundred is compared byte for byte with one made offline from the same files.
#include <glog/logging.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "tests/bench/empty_server.h"
#include "tests/bench/recommend_load.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"
#include "tests/bench/serving_world.h"
#include "tests/fakes/temp_dir.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {
namespace {

constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr int kOutstanding = 64;
constexpr int kChannels = 8;
constexpr int kTurns = 3;

Scale ScaleOf(bool smoke) {
  return smoke ? Scale{.users = 500, .items = 300, .sessions = 1'000, .warm_up = absl::Milliseconds(100), .measured = absl::Milliseconds(300)}
               : Scale();
}

// ---- Servers, each in a process of its own ----

void ServeEmptyQueue(const std::string& answer_file) {
  using Service = v1::RecommendationService::WithAsyncMethod_Recommend<v1::RecommendationService::Service>;
  struct Call {
    grpc::ServerContext context;
    v1::RecommendRequest request;
    grpc::ServerAsyncResponseWriter<v1::RecommendResponse> writer{&context};
    bool answered = false;
  };
  const v1::RecommendResponse answer = ReadAnswer(answer_file);
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

absl::Duration ThreadCpuTime() {
  timespec time;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return absl::DurationFromTimespec(time);
}

using Sample = std::vector<std::pair<v1::RecommendRequest, v1::RecommendResponse>>;

struct Figures {
  double requests_per_second = 0;
  double cpu_microseconds = 0;    // Of the server, for one request.
};

// One turn of a server. Appends one answer in a hundred to `sample`.
// `every`: asks for each so many-th user alone.
Figures Run(const ServerProcess& server, const Scale& scale, Sample* sample, int every = 1) {
  struct Call {
    grpc::ClientContext context;
    v1::RecommendRequest request;
    v1::RecommendResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RecommendResponse>> reader;
    size_t stub = 0;
  };
  const auto stubs = Connect(absl::StrCat("127.0.0.1:", server.port()), kChannels);
  grpc::CompletionQueue queue;
  std::mt19937_64 random(9);
  const auto send = [&](size_t stub) {
    auto* call = new Call;
    call->stub = stub;
    call->request.set_user_id(UserId(static_cast<int>(random() % (scale.users / every)) * every));
    call->request.set_limit(20);
    call->reader = stubs[stub]->AsyncRecommend(&call->context, call->request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
  };
  for (int i = 0; i < kOutstanding; ++i) {
    send(i % kChannels);
  }
  using SteadyClock = std::chrono::steady_clock;
  SteadyClock::time_point start = SteadyClock::now() + absl::ToChronoNanoseconds(scale.warm_up);
  absl::Duration cpu_at_start;
  enum { kWarmUp, kMeasured, kEnding } phase = kWarmUp;
  int64_t answered = 0;
  int64_t measured = 0;
  int outstanding = kOutstanding;
  Figures figures;
  void* tag = nullptr;
  bool ok = false;
  while (outstanding > 0 && queue.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    CHECK(call->status.ok()) << call->status.error_message();
    const SteadyClock::time_point now = SteadyClock::now();
    if (phase == kWarmUp && now >= start) {
      phase = kMeasured;
      start = now;
      cpu_at_start = server.CpuTime();
    } else if (phase == kMeasured && now >= start + absl::ToChronoNanoseconds(scale.measured)) {
      phase = kEnding;
      figures.requests_per_second = static_cast<double>(measured) / absl::ToDoubleSeconds(absl::FromChrono(now - start));
      figures.cpu_microseconds =
          absl::ToDoubleMicroseconds(server.CpuTime() - cpu_at_start) / static_cast<double>(measured);
    }
    measured += phase == kMeasured;
    if (++answered % 100 == 0) {
      sample->emplace_back(call->request, call->response);
    }
    if (phase == kEnding) {
      --outstanding;
    } else {
      send(call->stub);
    }
  }
  queue.Shutdown();
  return figures;
}

Figures MedianOf(std::vector<Figures> turns) {
  const auto median = [&](double Figures::*figure) {
    const auto middle = turns.begin() + static_cast<ptrdiff_t>(turns.size() / 2);
    std::nth_element(turns.begin(), middle, turns.end(),
                     [&](const Figures& a, const Figures& b) { return a.*figure < b.*figure; });
    return *middle.*figure;
  };
  return {.requests_per_second = median(&Figures::requests_per_second),
          .cpu_microseconds = median(&Figures::cpu_microseconds)};
}

// What an answer costs without gRPC, in CPU time: the median over batches, each answer on an arena as in the server.
double OfflineMicroseconds(const OfflineAnswers& offline, const Scale& scale) {
  constexpr int kBatches = 101;
  const int batch = scale.users / 50;
  std::mt19937_64 random(10);
  std::vector<double> microseconds;
  for (int b = 0; b < kBatches; ++b) {
    const absl::Duration start = ThreadCpuTime();
    for (int i = 0; i < batch; ++i) {
      google::protobuf::Arena arena;
      auto* request = google::protobuf::Arena::CreateMessage<v1::RecommendRequest>(&arena);
      request->set_user_id(UserId(static_cast<int>(random() % scale.users)));
      request->set_limit(20);
      offline.Recommend(*request, google::protobuf::Arena::CreateMessage<v1::RecommendResponse>(&arena));
    }
    microseconds.push_back(absl::ToDoubleMicroseconds(ThreadCpuTime() - start) / batch);
  }
  std::nth_element(microseconds.begin(), microseconds.begin() + kBatches / 2, microseconds.end());
  return microseconds[kBatches / 2];
}

int Main(bool smoke) {
  const Scale scale = ScaleOf(smoke);
  const TempDir dir("tributary-bench");
  const std::string snapshots = dir.Join("snapshots");
  std::filesystem::create_directory(snapshots);
  WriteSnapshot(snapshots, scale);
  PinTo(kClientCore);

  const std::string size = smoke ? "smoke" : "full";
  Sample sample;
  std::vector<Figures> ours;
  std::vector<Figures> callback;
  std::vector<Figures> queue;
  std::vector<Figures> changed;
  std::vector<Figures> live;
  {
    const ServerProcess server({"--serve", "ours", snapshots, size}, kServerCore);
    ours.push_back(Run(server, scale, &sample));
    CHECK(!sample.empty());
    const std::string answer_file = dir.Join("answer");
    WriteAnswer(sample.front().second, answer_file);

    const ServerProcess callback_server({"--serve", "callback", answer_file, size}, kServerCore);
    const ServerProcess queue_server({"--serve", "queue", answer_file, size}, kServerCore);
    const ServerProcess changed_server({"--serve", "changed", snapshots, size}, kServerCore);
    Sample same;
    for (int turn = 0; turn < kTurns; ++turn) {
      if (turn > 0) {
        ours.push_back(Run(server, scale, &sample));
      }
      callback.push_back(Run(callback_server, scale, &same));
      queue.push_back(Run(queue_server, scale, &same));
      live.push_back(Run(server, scale, &sample, kUsersToOneLive));
      changed.push_back(Run(changed_server, scale, &sample, kUsersToOneLive));
    }
  }
  double offline_microseconds = 0;
  {
    const OfflineAnswers offline(snapshots, scale);
    for (const auto& [request, response] : sample) {
      v1::RecommendResponse expected;
      offline.Recommend(request, &expected);
      CHECK_EQ(response.SerializeAsString(), expected.SerializeAsString())
          << "answer differs from the offline merge: " << request.ShortDebugString();
    }
    std::fprintf(stderr, "answers equal to the offline merge: %zu\n", sample.size());
    offline_microseconds = OfflineMicroseconds(offline, scale);
  }

  const Figures mine = MedianOf(ours);
  const Figures by_callback = MedianOf(callback);
  const Figures by_queue = MedianOf(queue);
  const bool callback_is_faster = by_callback.requests_per_second > by_queue.requests_per_second;
  const Figures& empty = callback_is_faster ? by_callback : by_queue;
  const std::string peer =
      callback_is_faster ? "empty grpc++ callback handler" : "empty grpc++ completion queue handler";
  bench::Report report("serving");
  report.Add("empty_callback_rps", by_callback.requests_per_second, "requests/s");
  report.Add("empty_queue_rps", by_queue.requests_per_second, "requests/s");
  report.Add("recommend_20_rps", mine.requests_per_second, "requests/s", peer, empty.requests_per_second);
  report.Add("live_user_rps", MedianOf(live).requests_per_second, "requests/s", peer, empty.requests_per_second);
  report.Add("changed_session_rps", MedianOf(changed).requests_per_second, "requests/s", peer, empty.requests_per_second);
  report.Add("changed_session_cpu_us", MedianOf(changed).cpu_microseconds, "us", peer, empty.cpu_microseconds);
  report.Add("recommend_20_without_grpc_us", offline_microseconds, "us");
  report.Add("recommend_20_cpu_us", mine.cpu_microseconds, "us", peer, empty.cpu_microseconds);
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
    Scale scale = ScaleOf(std::strcmp(argv[4], "smoke") == 0);
    scale.keep_lists = mode != "changed";
    if (mode == "ours" || mode == "changed") {
      LiveWorld world(argv[3], scale);
      ServeOurs(world);
    } else if (mode == "callback") {
      ServeEmptyCallback(argv[3]);
    } else {
      ServeEmptyQueue(argv[3]);
    }
    return 0;
  }
  return Main(argc > 1 && std::strcmp(argv[1], "--smoke") == 0);
}
