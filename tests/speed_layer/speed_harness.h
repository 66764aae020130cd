#ifndef TRIBUTARY_TESTS_SPEED_LAYER_SPEED_HARNESS_H_
#define TRIBUTARY_TESTS_SPEED_LAYER_SPEED_HARNESS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/event_log/topics.h"
#include "common/metrics/metrics.h"
#include "speed_layer/speed_layer.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/fake_local_store.h"
#include "tests/speed_layer/test_events.h"
#include "tributary/v1/dead_letter.pb.h"

namespace tributary::speed {

// What a partition's topics say to a reader of committed records, positions and what depends on where flushes were cut
// left out: equal for any two runs over the same events that ended in step with them.
struct Outcome {
  std::map<std::pair<int32_t, std::string>, std::string> views;   // (partition, user) -> facts, recent facts, ids.
  std::map<std::pair<int32_t, std::string>, std::string> counts;  // (partition, segment) -> deltas.
  std::map<int32_t, std::string> totals;                          // partition -> applied, totals, record time, floor.
  std::multiset<std::string> dead_letters;
  std::multiset<std::string> late_events;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// A fake Kafka with the topics, and instances of the speed layer over it. An instance goes as a crash would take it
// when its pointer is reset.
class SpeedHarness {
 public:
  explicit SpeedHarness(int partitions = 2, int64_t segment_size = 8);

  // Appends to `events`; returns the offset.
  Offset Publish(const TestEvent& event, int partition = 0) {
    return PublishBytes(event.user, Bytes(event), partition);
  }
  Offset PublishBytes(const std::string& key, const std::string& value, int partition = 0);
  void Announce(const v1::SnapshotAnnouncement& announcement);

  absl::StatusOr<std::unique_ptr<SpeedLayer>> Open(const std::string& instance = "one");
  std::unique_ptr<SpeedLayer> Start(const std::string& instance = "one");
  // The broker's time limit for what the instance has open.
  void ExpireTransactions(const std::string& instance = "one");

  // Runs rounds, moving the clock, until every instance is in step with the log and has nothing uncommitted. Fails the
  // test when that does not come, or a round fails.
  void Settle(const std::vector<SpeedLayer*>& layers);
  // One round, then the clock moves by 10 ms.
  absl::Status Round(SpeedLayer& layer);

  // Latest record a key, tombstones left out. Progress under kProgressKey.
  std::map<std::string, LogRecord> Latest(const std::string& topic, int partition,
                                          Isolation isolation = Isolation::kCommitted);
  std::optional<v1::SpeedView> View(const std::string& user, int partition = 0,
                                    Isolation isolation = Isolation::kCommitted);
  std::optional<v1::Progress> Progress(int partition = 0, Isolation isolation = Isolation::kCommitted);
  std::vector<v1::DeadLetter> DeadLetters(Isolation isolation = Isolation::kCommitted);
  std::vector<v1::LateEvent> LateEvents();
  Outcome Committed();
  bool InStep(SpeedLayer& layer);

  const int partitions;
  v1::Config config;
  int max_poll_events = 10'000;
  int restore_threads = 0;
  FakeLocalStore store;  // Of all instances, with a memory budget in `config`.
  FakeClock clock;         // Of the instances: each round moves it.
  FakeClock broker_clock;  // Each published event moves it by 1 ms, so that append times depend on nothing else.
  FakeEventLog log{broker_clock};
  MetricsRegistry registry;
  const Topics topics{""};

 private:
  std::unique_ptr<LogProducer> producer_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_TESTS_SPEED_LAYER_SPEED_HARNESS_H_
