#ifndef TRIBUTARY_TESTS_CHAOS_TRAFFIC_H_
#define TRIBUTARY_TESTS_CHAOS_TRAFFIC_H_

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

#include "common/event_log/event_log.h"

namespace tributary::chaos {

struct TrafficOptions {
  std::string topic;
  int partitions = 3;
  int users = 40;
  int items = 60;
  uint64_t seed = 0;
  int64_t events = 6'000;      // In all, but for the bot's.
  int64_t bot_events = 3'000;  // Of one user, as fast as they go, in the middle.
};

// Writes records to `events` from a thread of its own, whatever happens to the broker: every tenth is poison, users lie on
// several partitions, ids are repeated, times are shuffled (tests/reference/random_events.h). A record whose fate is not
// known may be there once: whoever wants to know what was written reads the log.
class Traffic {
 public:
  Traffic(EventLog& log, const TrafficOptions& options);
  ~Traffic();

  int64_t sent() const { return sent_.load(); }
  bool done() const { return done_.load(); }

 private:
  void Run();
  void Send(LogProducer& producer, int partition, std::string value);

  EventLog& log_;
  const TrafficOptions options_;
  std::mt19937_64 random_;
  std::atomic<int64_t> sent_{0};
  std::atomic<bool> done_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace tributary::chaos

#endif  // TRIBUTARY_TESTS_CHAOS_TRAFFIC_H_
