#ifndef TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_SNAPSHOT_MANAGER_H_
#define TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_SNAPSHOT_MANAGER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/merge/policy.h"
#include "common/metrics/metrics.h"
#include "common/snapshot/snapshot.h"
#include "common/sync/mutex.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/snapshot_manager/decision.h"
#include "tributary/v1/admin_service.pb.h"

namespace tributary::serving {

// Serves what CURRENT names: looks at it, opens and verifies a new snapshot beside the one that is being served, swaps
// while requests run, and closes the old one when its last request is done. A snapshot that is broken, of a newer format
// or whose W lies below the floor is refused with a reason (one line in the log, a metric, List) and tried again,
// since files may still be on their way; until then the last good one keeps serving. Each attempt may read every file, so
// the wait doubles as long as the reason stays the same.
//
// Beside it at most one other is held: the candidate of a canary (common/snapshot/canary.h), else the generation that an
// experiment names. It is loaded, checked and refused alike. A canary's is dropped before the snapshot that ends it is loaded;
// one that becomes current itself is not read again.
//
// Threads: RunOnce from one thread; List, canary and serving from any.
class SnapshotManager {
 public:
  struct Options {
    std::string snapshots_dir;
    int64_t block_cache_bytes = 0;
    FoldIn::Options fold_in;
    std::optional<Generation> experiment = std::nullopt;   // The generation that experiments name.
    absl::Duration first_retry_after = absl::Seconds(10);
    absl::Duration longest_retry_after = absl::Minutes(1);
  };

  // Borrows everything.
  SnapshotManager(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
                  ContextPublisher& context, MetricsRegistry& metrics);

  // Looks once, and does all that there is to do; until the floor is known (the topics were followed to their end) that is to
  // load, which takes as long, and to serve nothing. NotFound: the directory is not there. Nothing else is an error.
  absl::Status RunOnce(bool floor_known);

  std::optional<Generation> serving() const;
  // As the directory and this replica have it.
  v1::GetCanaryResponse Canary() const;
  // FailedPrecondition: as of tributary::StartCanary, or experiments hold another generation.
  absl::StatusOr<v1::Canary> StartCanary(v1::Canary canary) const;
  // Every complete snapshot and every refused one, newest first.
  absl::StatusOr<v1::ListSnapshotsResponse> List() const;

 private:
  struct Refusal {
    std::string reason;
    absl::Time refused_at;
    absl::Duration retry_after;
  };

  SnapshotSituation Look(bool floor_known) const;
  // Swaps to what CURRENT names.
  void FollowCurrent(bool floor_known);
  // Holds nothing any more.
  void Release();
  // Loads or drops what is held beside it.
  void FollowHeld();
  // What is to be held beside the current one; none: nothing.
  std::optional<Generation> WantedBeside(const absl::StatusOr<v1::Canary>& canary, Generation current) const;
  absl::Status LiesAboveFloor(const LoadedSnapshot& snapshot) const;
  bool InRefusal(Generation generation) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: refused.
  std::shared_ptr<const LoadedSnapshot> Load(Generation generation);
  void Refuse(Generation generation, const absl::Status& why);

  const Options options_;
  const MergePolicy& policy_;
  const Clock& clock_;
  const LiveState& live_;
  ContextPublisher& context_;
  const SnapshotStore store_;
  Gauge& generation_;
  Counter& swaps_;
  Counter& refusals_;

  std::shared_ptr<const LoadedSnapshot> loaded_;     // The manager's thread alone, as the next three.
  std::shared_ptr<const LoadedSnapshot> held_;
  double held_share_ = 0;
  bool canary_unreadable_ = false;
  mutable Mutex mutex_;
  std::optional<Generation> serving_ ABSL_GUARDED_BY(mutex_);
  std::optional<Generation> holding_ ABSL_GUARDED_BY(mutex_);
  std::map<Generation, Refusal> refused_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_SNAPSHOT_MANAGER_SNAPSHOT_MANAGER_H_
