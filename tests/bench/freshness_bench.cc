// From the moment an event was due to an answer that holds it, on a real Kafka: the application's producer, Kafka, speed
// layer, Kafka, serving, Recommend; and again with Publish of the serving layer in the place of the producer. Open loop at a
// fixed rate: a late start counts against us.
// Peer: the same rate through Kafka alone (one producer, one reader), in the same run. The steps on the way are reported
// apart: the acknowledged record, and the speed layer's progress as a reader of its own sees it.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/event_log/event_log.h"
#include "common/event_log/topics.h"
#include "common/process/stop_signal.h"
#include "common/sync/mutex.h"
#include "tests/bench/report.h"
#include "tests/bench/statistics.h"
#include "tests/integration/installation.h"
#include "tests/integration/kafka_fixture.h"

namespace tributary::bench {
namespace {

constexpr int kCheckpointMs = 200;   // The default of the configuration.

struct Options {
  int rate = 1000;          // Events a second.
  int seconds = 20;
  int warm_up_seconds = 20;   // The broker's compiler is at work in the first.
  int users = 2000;
  int partitions = 1;
  int ask_every = 10;       // Every so manyth event is asked for; all are written.
  bool publish = true;      // Measure events that come through Publish too.
  bool steps = false;       // Watch the speed layer's progress too, which costs another reader.
};

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

// One event on its way: sent, then asked for.
struct Probe {
  absl::Time due;
  absl::Time acknowledged;
  EventPosition position;
  grpc::ClientContext publish_context;
  v1::PublishRequest publish;
  v1::PublishResponse published;
  grpc::ClientContext recommend_context;
  v1::RecommendRequest recommend;
  v1::RecommendResponse recommended;
};

// From when the events were due, in the order of the steps.
struct Steps {
  std::vector<absl::Duration> acknowledged;
  std::vector<absl::Duration> applied;
  std::vector<absl::Duration> visible;
};

// How events reach the topic.
enum class Way {
  kKafka,     // A producer of the application's own, one record each.
  kPublish,   // The rpc Publish of the serving layer, one event a call.
};

// Hands what the log says about records of ProduceThen to their callbacks, on a thread of its own.
class Deliverer {
 public:
  explicit Deliverer(LogProducer& producer) : thread_([this, &producer] {
    while (!done_.load()) {
      producer.Deliver(absl::Milliseconds(50));
    }
  }) {}
  ~Deliverer() {
    done_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Notes when the speed layer's progress becomes readable, as serving reads it.
class ProgressWatch {
 public:
  ProgressWatch(EventLog& log, const std::string& topic, int partitions)
      : seen_(static_cast<size_t>(partitions)), thread_([this, &log, topic] { Follow(log, topic); }) {}
  void Finish() {
    done_.store(true);
    thread_.join();
  }
  // When the event was first seen to be applied. After Finish, for an event that was answered.
  absl::Time AppliedAt(const EventPosition& position) const {
    const auto& seen = seen_.at(static_cast<size_t>(Value(position.partition)));
    const auto first = std::upper_bound(seen.begin(), seen.end(), Value(position.offset),
                                        [](int64_t offset, const auto& entry) { return offset < entry.first; });
    CHECK(first != seen.end()) << "answered and not applied: offset=" << Value(position.offset);
    return first->second;
  }

 private:
  void Follow(EventLog& log, const std::string& topic) {
    auto reader = log.OpenReader(Isolation::kUncommitted);
    CHECK(reader.ok()) << reader.status();
    for (size_t p = 0; p < seen_.size(); ++p) {
      CHECK((*reader)->Start({topic, PartitionId{static_cast<int32_t>(p)}}, Offset{0}).ok());
    }
    bool drained = false;
    while (!done_.load() || !drained) {
      drained = true;
      const auto polled = (*reader)->Poll(absl::Milliseconds(50), 1000);
      CHECK(polled.ok()) << polled.status();
      const absl::Time now = absl::Now();
      for (const LogEvent& event : *polled) {
        const auto* record = std::get_if<LogRecord>(&event);
        v1::Progress progress;
        if (record != nullptr && record->key == kProgressKey && record->value && progress.ParseFromString(*record->value)) {
          drained = false;
          auto& seen = seen_[static_cast<size_t>(Value(record->source.partition))];
          const int64_t applied = progress.position().applied_offset();
          if (seen.empty() || applied > seen.back().first) {
            seen.emplace_back(applied, now);
          }
        }
      }
    }
  }

  std::vector<std::vector<std::pair<int64_t, absl::Time>>> seen_;   // By partition: applied offset, since when.
  std::atomic<bool> done_{false};
  std::thread thread_;
};

Steps MeasureTributary(const Options& options, Way way) {
  integration::Installation installation("freshness", options.partitions, kCheckpointMs);
  std::optional<ProgressWatch> progress;
  if (options.steps) {
    progress.emplace(installation.log(), installation.topic("speed-views"), options.partitions);
  }
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  const v1::PublishResponse first = installation.Publish("user-0", v1::VIEW, "item-0");
  installation.RecommendAfter(first.token(), "user-0");

  const int warm_up = options.rate * options.warm_up_seconds;
  const int total = options.rate * (options.warm_up_seconds + options.seconds);
  Mutex mutex;
  CondVar done;
  Steps steps;
  int finished = 0;
  int failed = 0;
  std::string first_failure;
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
    if (!visible && ++failed == 1) {
      first_failure = status.ok() ? "its answer did not hold the event" : status.error_message();
    }
    if (visible && n >= warm_up) {
      steps.acknowledged.push_back(probe.acknowledged - probe.due);
      if (n % options.ask_every == 0) {
        steps.visible.push_back(now - probe.due);
      }
    }
    ++finished;
    done.NotifyAll();
  };

  const auto ask = [&](int n, const grpc::Status& sent) {
    Probe& probe = *probes[static_cast<size_t>(n)];
    probe.acknowledged = absl::Now();
    if (!sent.ok() || n % options.ask_every != 0) {
      finish(n, sent);
      return;
    }
    probe.recommend.set_user_id(probe.publish.event().user_id());
    probe.recommend.set_limit(1);
    v1::EventPosition& position = *probe.recommend.mutable_min_freshness()->mutable_position();
    position.set_partition(Value(probe.position.partition));
    position.set_offset(Value(probe.position.offset));
    probe.recommend.mutable_max_wait()->set_seconds(10);
    recommendations.Recommend(&probe.recommend_context, &probe.recommend, &probe.recommended,
                              [&, n](grpc::Status answer) { finish(n, answer); });
  };

  auto producer = installation.log().OpenProducer();
  CHECK(producer.ok()) << producer.status();
  std::optional<Deliverer> deliverer;
  if (way == Way::kKafka) {
    deliverer.emplace(**producer);
  }
  const auto send = [&](int n) {
    Probe& probe = *probes[static_cast<size_t>(n)];
    if (way == Way::kPublish) {
      events.Publish(&probe.publish_context, &probe.publish, &probe.published, [&, n](grpc::Status status) {
        Probe& published = *probes[static_cast<size_t>(n)];
        published.position = {PartitionId{published.published.position().partition()},
                              Offset{published.published.position().offset()}};
        ask(n, status);
      });
      return;
    }
    (*producer)->ProduceThen({.topic = installation.topic("events"),
                              .key = probe.publish.event().user_id(),
                              .value = probe.publish.event().SerializeAsString()},
                             [&, n](absl::StatusOr<EventPosition> written) {
                               CHECK(written.ok()) << written.status();
                               probes[static_cast<size_t>(n)]->position = *written;
                               ask(n, grpc::Status::OK);
                             });
  };

  OpenLoop(options, [&](int n, absl::Time due) {
    auto& slot = probes[static_cast<size_t>(n)];
    slot = std::make_unique<Probe>();
    slot->due = due;
    v1::Event& event = *slot->publish.mutable_event();
    event.set_user_id(absl::StrCat("user-", n % options.users));
    event.set_type(v1::VIEW);
    event.set_item_id(absl::StrCat("item-", n % 997));
    send(n);
  });

  {
    MutexLock lock(mutex);
    CHECK(done.AwaitFor(mutex, absl::Seconds(30), [&] { return finished == total; })) << finished << " of " << total;
    CHECK_EQ(failed, 0) << "events that no answer held; of the first: " << first_failure;
  }
  if (progress) {
    progress->Finish();
    for (int n = warm_up; n < total; ++n) {
      const Probe& probe = *probes[static_cast<size_t>(n)];
      if (n % options.ask_every == 0) {   // Answered, so surely applied.
        steps.applied.push_back(progress->AppliedAt(probe.position) - probe.due);
      }
    }
  }
  return steps;
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
  Report report("freshness");
  std::vector<absl::Duration> peer = MeasureKafkaAlone(options);
  const auto add = [&](absl::string_view step, std::vector<absl::Duration>& samples) {
    for (const auto& [name, share] : {std::pair("p50", 0.5), std::pair("p99", 0.99), std::pair("p999", 0.999)}) {
      report.Add(absl::StrCat(step, "_", name, "_ms"), MillisecondsWithin(samples, share), "ms", "kafka_round_trip",
                 MillisecondsWithin(peer, share));
    }
  };
  Steps direct = MeasureTributary(options, Way::kKafka);
  std::cerr << direct.visible.size() << " of the events at " << options.rate << "/s asked for, after "
            << options.warm_up_seconds << " s of warm-up\n";
  add("visible", direct.visible);
  add("written", direct.acknowledged);
  if (options.steps) {
    add("applied", direct.applied);
  }
  if (options.publish) {
    Steps published = MeasureTributary(options, Way::kPublish);
    add("published", published.acknowledged);
    add("published_visible", published.visible);
  }
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
  app.add_option("--warm-up", options.warm_up_seconds, "time at this rate before it counts")->check(CLI::Range(0, 3600));
  app.add_option("--partitions", options.partitions, "of the topic events")->check(CLI::Range(1, 1000));
  app.add_option("--ask-every", options.ask_every, "ask for one of so many events; all are written")
      ->check(CLI::Range(1, 1000));
  app.add_flag("!--no-publish", options.publish, "only events that are written to Kafka directly");
  app.add_flag("--steps", options.steps, "watch the speed layer's progress too");
  app.add_flag("--smoke", smoke, "a short run at a low rate");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.rate = 100;
    options.seconds = 2;
    options.warm_up_seconds = 1;
  }
  tributary::bench::Run(options);
}
