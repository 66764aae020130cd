#ifndef TRIBUTARY_TESTS_SIMULATION_REPLICA_H_
#define TRIBUTARY_TESTS_SIMULATION_REPLICA_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/metrics/metrics.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_popularity.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/topic_follower.h"
#include "serving_layer/requests/recommender.h"
#include "serving_layer/snapshot_manager/snapshot_manager.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tributary/v1/config.pb.h"

namespace tributary::simulation {

// A serving replica: all of the serving layer that decides, without threads and gRPC. Its clock is its machine's.
class Replica {
 public:
  Replica(FakeEventLog& log, const FakeClock& clock, const v1::Config& config, std::string snapshots_dir);

  // One round of the follower's thread, one of the snapshot manager's; what ServingLayer does in its loops.
  // `versions`: how many states the catalogue had so far.
  absl::Status Follow(size_t versions);
  void Look();
  // As after a crash: nothing of what was in memory is left.
  void Restart();

  struct Process {
    Process(FakeEventLog& log, const FakeClock& clock, const v1::Config& config, const MergePolicy& merge_policy,
            const std::string& snapshots_dir);
    MetricsRegistry metrics;
    serving::LiveState live;
    serving::ContextPublisher context;
    serving::TopicFollower follower;
    serving::SnapshotManager snapshots;
    serving::ItemTrends trends{live};
    serving::LivePopularity popularity;
    serving::Recommender recommender;
    bool started = false;
  };
  Process& process() { return *process_; }
  const Process& process() const { return *process_; }
  const MergePolicy& policy() const { return policy_; }
  const FakeClock& clock() const { return clock_; }
  const std::string& snapshots_dir() const { return snapshots_dir_; }
  // The catalogue is at least as new as this version of it.
  size_t catalogue_version() const { return catalogue_version_; }
  int restarts() const { return restarts_; }

 private:
  FakeEventLog& log_;
  const FakeClock& clock_;
  const v1::Config& config_;
  const std::string snapshots_dir_;
  const MergePolicy policy_;
  std::unique_ptr<Process> process_;
  size_t catalogue_version_ = 0;
  int restarts_ = 0;
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_REPLICA_H_
