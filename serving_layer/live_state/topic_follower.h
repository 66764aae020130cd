#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_TOPIC_FOLLOWER_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_TOPIC_FOLLOWER_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/event_log/topics.h"
#include "common/metrics/metrics.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/log_watch.h"

namespace tributary::serving {

// Follows what the other layers and producers write: `speed-views` and `live-counts` uncommitted into LiveState, `items`,
// `users` and `rules` committed into the ContextPublisher, all partitions from their beginning, partitions that are added
// later too. A record that cannot be read is counted, named in the log once a minute, and skipped.
//
// Before ready(), after each new snapshot and once a second besides, what was read is compared with what the log holds
// (LogWatch).
//
// Threads: Start and RunOnce from one thread, WatchLog from one other or between the RunOnces; the rest from any.
// Errors:  Start passes on what the log says. RunOnce: while the log is away it is OK, the last state stays, and
//          log_reachable answers false. FailedPrecondition, for good: `events` was recreated, so that offsets no longer
//          mean what the snapshot and the views say.
class TopicFollower {
 public:
  struct Options {
    Topics topics;
    absl::Duration poll_timeout = absl::Milliseconds(50);
    // How often new partitions and the ends of `events` are looked for.
    absl::Duration refresh_interval = absl::Seconds(1);
  };

  // `on_publish` is called in RunOnce each time new progress became visible. Borrows everything.
  TopicFollower(Options options, EventLog& log, const Clock& clock, LiveState& live, ContextPublisher& context,
                MetricsRegistry& metrics, std::function<void()> on_publish);

  // Opens the readers and remembers the ends of all partitions: ready() holds once they were reached.
  absl::Status Start();
  // One round: reads a batch, applies it and publishes; takes note of what WatchLog found.
  absl::Status RunOnce();
  // Asks the log for its partitions and ends when it is time. Takes as long as the log takes to answer.
  void WatchLog() { watch_.RunOnce(); }

  // The topics were read to the end that Start saw.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  // W of a snapshot was compared with the ends of `events`.
  bool snapshot_checked() const { return snapshot_checked_.load(std::memory_order_acquire); }
  bool log_reachable() const { return log_reachable_.load(std::memory_order_acquire); }

 private:
  struct FollowedTopic {
    std::string name;
    Isolation isolation;
    int partitions = 0;      // Followed so far.
  };

  struct PartitionGauges {
    Gauge* applied;
    Gauge* watermark;
    Gauge* lag;
  };

  LogReader& ReaderOf(Isolation isolation) {
    return isolation == Isolation::kCommitted ? *committed_ : *uncommitted_;
  }
  static std::vector<std::string> Names(const std::vector<FollowedTopic>& topics);
  absl::Status FollowNewPartitions(FollowedTopic& topic, int count, bool at_start);
  // Not OK: the log did not answer.
  absl::Status TakeFinding(const LogWatch::Finding& finding);
  void SetGauges(absl::Time now);
  // Answers how many events there were.
  absl::StatusOr<int> PollInto(Isolation isolation, absl::Duration timeout);
  void Apply(const LogRecord& record);
  void Reached(const TopicPartition& partition, Offset position);
  absl::Status RestartLostPartitions(Isolation isolation);
  void SetReachable(const absl::Status& status);

  const Options options_;
  EventLog& log_;
  const Clock& clock_;
  LiveState& live_;
  ContextPublisher& context_;
  MetricsRegistry& metrics_;
  const std::function<void()> on_publish_;
  Counter& records_;
  Counter& unreadable_;
  Gauge& sessions_;
  Gauge& fold_in_bytes_;
  Gauge& compact_factor_bytes_;
  Gauge& session_bytes_;
  Gauge& session_list_bytes_;
  Gauge& users_;

  std::vector<FollowedTopic> topics_;
  LogWatch watch_;
  std::unique_ptr<LogReader> uncommitted_;
  std::unique_ptr<LogReader> committed_;
  std::map<TopicPartition, Offset> position_;       // The next offset to be read.
  std::map<TopicPartition, Offset> wanted_;         // The ends that Start saw and that were not reached yet.
  bool end_reached_ = false;                        // wanted_ was seen empty.
  absl::Status recreated_;                          // Not OK: says how `events` was found to be another topic.
  std::vector<PartitionGauges> partition_gauges_;   // By partition.
  absl::Time last_context_publish_ = absl::InfinitePast();
  std::atomic<bool> ready_{false};
  std::atomic<bool> snapshot_checked_{false};
  std::atomic<bool> log_reachable_{true};
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_TOPIC_FOLLOWER_H_
