#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_LOG_WATCH_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_LOG_WATCH_H_

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"
#include "common/sync/mutex.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"

namespace tributary::serving {

// Asks the log what the follower cannot read from it: whether it answers at all, how many partitions there are, and where
// `events` ends, above which neither W of the snapshot nor the progress of the speed layer may lie. Each question is a
// round trip to a broker, so this runs beside the follower, whose thread makes events visible.
//
// Threads: RunOnce from one thread; AskSoon and Take from any, without waiting for the log.
class LogWatch {
 public:
  struct Options {
    std::vector<std::string> followed_topics;
    std::string events_topic;
    absl::Duration interval;
  };
  struct Finding {
    absl::Status answered;                        // Not OK: the log did not answer, and nothing below counts.
    absl::Status recreated;                       // FailedPrecondition: `events` is another topic than it was.
    std::vector<int> partitions;                  // Of each followed topic, in the order of the options.
    std::map<PartitionId, Offset> events_ends;
    absl::Time asked_at;
    Generation generation{};                      // Whose W was compared; 0: no snapshot.
    bool requested = false;                       // AskSoon was called before it was asked.
  };

  // Borrows everything.
  LogWatch(Options options, EventLog& log, const Clock& clock, const LiveState& live, const ContextPublisher& context)
      : options_(std::move(options)), log_(log), clock_(clock), live_(live), context_(context) {}

  // Asks when an interval has passed, when AskSoon was called and when another snapshot is served; else does nothing.
  void RunOnce();
  // The next RunOnce asks.
  void AskSoon() { requested_.store(true, std::memory_order_release); }
  // What was found since the last Take, if anything was: the latest.
  std::optional<Finding> Take();

 private:
  // By partition of `events`, what lies before it was read: the greater of W and progress.
  std::map<PartitionId, Offset> CountedUpTo(Generation* generation) const;
  absl::Status Ask(Finding* finding) const;

  const Options options_;
  EventLog& log_;
  const Clock& clock_;
  const LiveState& live_;
  const ContextPublisher& context_;
  std::atomic<bool> requested_{false};
  absl::Time asked_at_ = absl::InfinitePast();   // The thread of RunOnce alone, as the next one.
  Generation checked_generation_{};
  Mutex mutex_;
  std::optional<Finding> found_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_LOG_WATCH_H_
