// From the moment an event was due to an answer that holds it, with all three processes on a real Kafka: Publish, Kafka,
// speed layer, Kafka, serving, Recommend. Open loop at a fixed rate: a late start counts against us.
// Peer: the same rate through Kafka alone (one producer, one reader), in the same run.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/event_log/event_log.h"
#include "common/process/stop_signal.h"
#include "common/sync/mutex.h"
#include "tests/bench/report.h"
#include "tests/integration/installation.h"
#include "tests/integration/kafka_fixture.h"

namespace tributary::bench {
namespace {

constexpr int kCheckpointMs = 200;   // The default of the configuration.

struct Options {
  int rate = 1000;          // Events a second.
  int seconds = 20;
  int warm_up_seconds = 5;
  int users = 2000;
};

// The value below which `share` of the samples lie, in milliseconds.
double Percentile(std::vector<absl::Duration>& samples, double share) {
  CHECK(!samples.empty());
  const auto at = samples.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return absl::ToDoubleMilliseconds(*at);
}

// Calls `send(n, due)` at an even rate, on time or as soon after as it can.
template <typename Send>
void OpenLoop(const Options& options, Send send) {
  const absl::Time start = absl::Now();
  const int total = options.rate * (options.warm_up_seconds + options.seconds);
  for (int n = 0; n < total; ++n) {
    const absl::Time due = start + n * absl::Seconds(1) / options.rate;
    // Waits without burning a core: there are only two for everything that is measured.
    for (absl::Duration ahead = due - absl::Now(); ahead > absl::ZeroDuration(); ahead = due - absl::Now()) {
      const timespec pause = absl::ToTimespec(ahead);
      ppoll(nullptr, 0, &pause, nullptr);
    }
    send(n, due);
  }
}

// One event on its way: published, then asked for.
struct Probe {
  absl::Time due;
  grpc::ClientContext publish_context;
  v1::PublishRequest publish;
  v1::PublishResponse published;
  grpc::ClientContext recommend_context;
  v1::RecommendRequest recommend;
  v1::RecommendResponse recommended;
};

std::vector<absl::Duration> MeasureTributary(const Options& options) {
  integration::Installation installation("freshness", 4, kCheckpointMs);
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  const v1::PublishResponse first = installation.Publish("user-0", v1::VIEW, "item-0");
  installation.RecommendAfter(first.token(), "user-0");

  const int warm_up = options.rate * options.warm_up_seconds;
  const int total = options.rate * (options.warm_up_seconds + options.seconds);
  Mutex mutex;
  CondVar done;
  std::vector<absl::Duration> samples;
  int finished = 0;
  int failed = 0;
  std::vector<std::unique_ptr<Probe>> probes(static_cast<size_t>(total));
  auto& events = *installation.events().async();
  auto& recommendations = *installation.recommendations().async();

  const auto finish = [&](int n, const grpc::Status& status) {
    const absl::Time now = absl::Now();
    const Probe& probe = *probes[static_cast<size_t>(n)];
    bool visible = status.ok();
    for (const int degradation : probe.recommended.freshness().degraded()) {
      visible = visible && degradation != v1::FRESHNESS_NOT_REACHED;
    }
    MutexLock lock(mutex);
    failed += !visible;
    if (visible && n >= warm_up) {
      samples.push_back(now - probe.due);
    }
    ++finished;
    done.NotifyAll();
  };

  OpenLoop(options, [&](int n, absl::Time due) {
    auto& slot = probes[static_cast<size_t>(n)];
    slot = std::make_unique<Probe>();
    Probe& probe = *slot;
    probe.due = due;
    v1::Event& event = *probe.publish.mutable_event();
    event.set_user_id(absl::StrCat("user-", n % options.users));
    event.set_type(v1::VIEW);
    event.set_item_id(absl::StrCat("item-", n % 997));
    events.Publish(&probe.publish_context, &probe.publish, &probe.published, [&, n](grpc::Status status) {
      if (!status.ok()) {
        finish(n, status);
        return;
      }
      Probe& published = *probes[static_cast<size_t>(n)];
      published.recommend.set_user_id(published.publish.event().user_id());
      published.recommend.set_limit(1);
      *published.recommend.mutable_min_freshness() = published.published.token();
      published.recommend.mutable_max_wait()->set_seconds(10);
      recommendations.Recommend(&published.recommend_context, &published.recommend, &published.recommended,
                                [&, n](grpc::Status answer) { finish(n, answer); });
    });
  });

  MutexLock lock(mutex);
  CHECK(done.AwaitFor(mutex, absl::Seconds(30), [&] { return finished == total; })) << finished << " of " << total;
  CHECK_EQ(failed, 0) << "answers that never held their event";
  return samples;
}

std::vector<absl::Duration> MeasureKafkaAlone(const Options& options) {
  KafkaFixture kafka;
  const std::string topic = kafka.config().topic_prefix() + "freshness-peer";
  CHECK(kafka.log().CreateTopics({TopicOptions{.name = topic}}).ok());
  const int warm_up = options.rate * options.warm_up_seconds;
  const int total = options.rate * (options.warm_up_seconds + options.seconds);
  std::vector<absl::Time> dues(static_cast<size_t>(total));
  std::vector<absl::Duration> samples;
  std::atomic<bool> reading{false};

  std::thread reader([&] {
    auto opened = kafka.log().OpenReader(Isolation::kUncommitted);
    CHECK(opened.ok() && (*opened)->Start({topic, PartitionId{0}}, Offset{0}).ok());
    int seen = 0;
    while (seen < total) {
      const auto polled = (*opened)->Poll(absl::Milliseconds(100), 1000);
      CHECK(polled.ok()) << polled.status();
      reading.store(true);
      const absl::Time now = absl::Now();
      for (const LogEvent& event : *polled) {
        if (const auto* record = std::get_if<LogRecord>(&event)) {
          const int n = std::stoi(record->key);
          if (n >= warm_up) {
            samples.push_back(now - dues[static_cast<size_t>(n)]);
          }
          ++seen;
        }
      }
    }
  });
  while (!reading.load()) {
    std::this_thread::yield();
  }
  auto producer = kafka.log().OpenProducer();
  CHECK(producer.ok()) << producer.status();
  OpenLoop(options, [&](int n, absl::Time due) {
    dues[static_cast<size_t>(n)] = due;
    CHECK((*producer)->ProduceAsync({.topic = topic, .partition = PartitionId{0}, .key = std::to_string(n),
                                     .value = std::string(100, 'x')}).ok());
  });
  CHECK((*producer)->Flush(absl::Seconds(30)).ok());
  reader.join();
  return samples;
}

void Run(const Options& options) {
  std::vector<absl::Duration> peer = MeasureKafkaAlone(options);
  std::vector<absl::Duration> ours = MeasureTributary(options);
  std::cerr << ours.size() << " events at " << options.rate << "/s, after " << options.warm_up_seconds
            << " s of warm-up\n";
  Report report("freshness");
  report.Add("visible_p50_ms", Percentile(ours, 0.5), "ms", "kafka_round_trip", Percentile(peer, 0.5));
  report.Add("visible_p99_ms", Percentile(ours, 0.99), "ms", "kafka_round_trip", Percentile(peer, 0.99));
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::InitLogging(argv[0]);
  tributary::bench::Options options;
  bool smoke = false;
  CLI::App app{"Time from an event to an answer that holds it, through a real Kafka."};
  app.add_option("--rate", options.rate, "events a second")->check(CLI::Range(1, 100000));
  app.add_option("--seconds", options.seconds, "measured time")->check(CLI::Range(1, 3600));
  app.add_flag("--smoke", smoke, "a short run at a low rate");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.rate = 100;
    options.seconds = 2;
    options.warm_up_seconds = 1;
  }
  tributary::bench::Run(options);
}
