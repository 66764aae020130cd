#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"
#include "common/metrics/metrics.h"
#include "common/sync/mutex.h"

namespace tributary::serving {

// Writes records to the log for requests that must not wait in a server thread: they queue here, a few threads write
// them in batches, and each is told when its record lies in the log or why not.
//
// Limits:  10,000 records queued; more are refused with ResourceExhausted at once.
// Errors:  Unavailable: the log is away, or did not answer in time (the record may still have been written).
// Threads: Send from any thread. `done` runs once, on a thread of the publisher or, when refused, on the caller's; it
//          must be quick.
class EventPublisher {
 public:
  struct Options {
    absl::Duration timeout = absl::Seconds(5);
    int threads = 2;
  };
  using Done = std::function<void(absl::StatusOr<EventPosition>)>;

  // Unavailable: the log gives no producer.
  static absl::StatusOr<std::unique_ptr<EventPublisher>> Start(const Options& options, EventLog& log,
                                                               MetricsRegistry& metrics);
  // Writes what is queued, then ends.
  ~EventPublisher();
  EventPublisher(const EventPublisher&) = delete;
  EventPublisher& operator=(const EventPublisher&) = delete;

  void Send(ProduceRecord record, Done done);

 private:
  struct Queued {
    ProduceRecord record;
    Done done;
  };

  EventPublisher(const Options& options, MetricsRegistry& metrics);
  void Run(LogProducer& producer);

  const Options options_;
  Counter& written_;
  Counter& failed_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<LogProducer>> producers_;
  std::vector<std::thread> threads_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_EVENT_PUBLISHER_H_
