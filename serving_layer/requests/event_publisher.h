#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "common/event_log/event_log.h"
#include "common/metrics/metrics.h"

namespace tributary::serving {

// Writes records to the log for requests that must not wait in a server thread: each is handed to the log at once and told
// later, when its record lies there or why it does not.
//
// Limits:  10,000 records under way; more are refused with ResourceExhausted at once.
// Errors:  as LogProducer::ProduceThen: Unavailable when the log is away or does not answer in time (the record may still
//          have been written).
// Threads: Send from any thread. `done` runs once, on the publisher's thread or, when refused, on the caller's; it must be
//          quick.
class EventPublisher {
 public:
  using Done = LogProducer::Done;

  // Unavailable: the log gives no producer.
  static absl::StatusOr<std::unique_ptr<EventPublisher>> Start(EventLog& log, MetricsRegistry& metrics);
  // Returns when every record under way was told. No Send may run or follow.
  ~EventPublisher();
  EventPublisher(const EventPublisher&) = delete;
  EventPublisher& operator=(const EventPublisher&) = delete;

  void Send(ProduceRecord record, Done done);
  int64_t under_way() const { return under_way_.load(); }

 private:
  EventPublisher(std::unique_ptr<LogProducer> producer, MetricsRegistry& metrics);
  void Run();

  const std::unique_ptr<LogProducer> producer_;
  Counter& written_;
  Counter& failed_;
  std::atomic<int64_t> under_way_{0};
  std::atomic<bool> closing_{false};
  std::thread thread_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_
