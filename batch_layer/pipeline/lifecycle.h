#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_LIFECYCLE_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_LIFECYCLE_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch_layer/kafka_range/read_to_end.h"
#include "batch_layer/pipeline/retention.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/snapshot.pb.h"

namespace tributary::batch {

// What happens to snapshots after they were written: the topic `snapshots` is brought in line with the directory, old
// generations are retired. Every step may be repeated, so that the next run completes what a dead one began.
//
// Threads: one.
class SnapshotLifecycle {
 public:
  struct Options {
    std::string topic;
    RetentionLimits retained;
    std::set<Generation> kept = {};          // Besides: what the configuration names.
    absl::Duration retire_grace;             // Between the announcement and the deletion.
    std::function<void(absl::Duration)> sleep;
    ReadOptions read;
  };
  // `log`: null without Kafka; then nothing is announced, and nobody waits.
  SnapshotLifecycle(SnapshotStore& store, EventLog* log, const Clock& clock, Options options);

  // Greater than every generation that is or was: in the directory, whole or not, or on the topic.
  absl::StatusOr<Generation> NextGeneration();
  // Announces every generation of the directory as it is (the current one ACTIVATED, the others RETAINED), retires
  // those past the limits (announced, grace, deleted), and announces RETIRED what is no longer in the directory. Never
  // retires the current generation, a canary's, what is kept, nor the one that was current when the gate judged it: replicas may be loading the
  // new one still. Answers the deleted ones. Cancelled: stopped during the grace; nothing was deleted.
  absl::StatusOr<std::vector<Generation>> Settle();

 private:
  using Announcements = std::map<int64_t, v1::SnapshotAnnouncement>;

  absl::StatusOr<Announcements> ReadTopic();
  // What CURRENT names; unset: nothing was activated yet.
  absl::StatusOr<std::optional<Generation>> Current() const;
  std::vector<Generation> Retired(const std::vector<v1::SnapshotManifest>& manifests, std::optional<Generation> current,
                                  const Announcements& known) const;
  absl::Status Announce(const v1::SnapshotManifest& manifest, v1::SnapshotStatus status, Announcements* known);

  SnapshotStore& store_;
  EventLog* const log_;
  const Clock& clock_;
  const Options options_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_LIFECYCLE_H_
