#include "serving_layer/snapshot_manager/snapshot_manager.h"

#include <glog/logging.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/snapshot/gate_verdict.h"
#include "common/status/status_macros.h"
#include "serving_layer/live_state/floor.h"

namespace tributary::serving {

SnapshotManager::SnapshotManager(Options options, const MergePolicy& policy, const Clock& clock, const LiveState& live,
                                 ContextPublisher& context, MetricsRegistry& metrics)
    : options_(std::move(options)),
      policy_(policy),
      clock_(clock),
      live_(live),
      context_(context),
      store_(options_.snapshots_dir),
      generation_(metrics.AddGauge("tributary_serving_snapshot_generation", "Generation being served; 0: none.")),
      swaps_(metrics.AddCounter("tributary_serving_snapshot_swaps_total", "Snapshots that began to be served.")),
      refusals_(metrics.AddCounter("tributary_serving_snapshot_refusals_total",
                                   "Times that a snapshot was refused or found refused again.")) {}

absl::Status SnapshotManager::RunOnce() {
  std::error_code error;
  if (!std::filesystem::is_directory(options_.snapshots_dir, error)) {
    return absl::NotFoundError(absl::StrCat("snapshot directory missing: dir=", options_.snapshots_dir));
  }
  while (true) {
    const SnapshotSituation situation = Look();
    switch (Decide(situation)) {
      case SnapshotAction::kNothing:
        return absl::OkStatus();
      case SnapshotAction::kLoad:
        Load(*situation.wanted);
        break;
      case SnapshotAction::kSwap: {
        const Generation generation = loaded_->generation();
        context_.Activate(std::exchange(loaded_, nullptr));
        {
          MutexLock lock(mutex_);
          serving_ = generation;
          refused_.erase(generation);
        }
        swaps_.Increment();
        generation_.Set(static_cast<double>(Value(generation)));
        LOG(INFO) << "snapshot in service: generation=" << Value(generation)
                  << " before=" << (situation.serving ? Value(*situation.serving) : 0);
        break;
      }
      case SnapshotAction::kDiscard:
        loaded_ = nullptr;
        break;
    }
  }
}

SnapshotSituation SnapshotManager::Look() const {
  SnapshotSituation situation;
  if (const absl::StatusOr<Generation> current = store_.Current(); current.ok()) {
    situation.wanted = *current;
  }
  if (loaded_ != nullptr) {
    situation.loaded = loaded_->generation();
  }
  MutexLock lock(mutex_);
  situation.serving = serving_;
  if (situation.wanted) {
    const auto refusal = refused_.find(*situation.wanted);
    if (refusal != refused_.end()) {
      // A clock that jumped back must not wait for that time to come again.
      const absl::Duration since = clock_.Now() - refusal->second.refused_at;
      situation.wanted_refused = since >= absl::ZeroDuration() && since < refusal->second.retry_after;
    }
  }
  return situation;
}

void SnapshotManager::Load(Generation generation) {
  absl::StatusOr<std::shared_ptr<const LoadedSnapshot>> snapshot = LoadedSnapshot::Load(
      {.snapshots_dir = options_.snapshots_dir, .block_cache_bytes = options_.block_cache_bytes,
       .fold_in_bytes = options_.fold_in_bytes},
      generation, policy_);
  if (!snapshot.ok()) {
    return Refuse(generation, snapshot.status());
  }
  {
    EpochGuard guard;
    if (const absl::Status floor = CheckFloor(**snapshot, live_.partitions()); !floor.ok()) {
      return Refuse(generation, floor);
    }
  }
  loaded_ = *std::move(snapshot);
}

void SnapshotManager::Refuse(Generation generation, const absl::Status& why) {
  refusals_.Increment();
  MutexLock lock(mutex_);
  Refusal& refusal = refused_[generation];
  refusal.refused_at = clock_.Now();
  if (refusal.reason == why.message()) {
    refusal.retry_after = std::min(2 * refusal.retry_after, options_.longest_retry_after);
  } else {
    refusal.reason = std::string(why.message());
    refusal.retry_after = options_.first_retry_after;
    LOG(ERROR) << "snapshot refused, the last good one keeps serving: generation=" << Value(generation)
               << " serving=" << (serving_ ? Value(*serving_) : 0) << " cause=" << refusal.reason;
  }
}

std::optional<Generation> SnapshotManager::serving() const {
  MutexLock lock(mutex_);
  return serving_;
}

absl::StatusOr<v1::ListSnapshotsResponse> SnapshotManager::List() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store_.List());
  std::map<Generation, v1::ListSnapshotsResponse::Snapshot, std::greater<>> snapshots;
  for (const v1::SnapshotManifest& manifest : manifests) {
    v1::ListSnapshotsResponse::Snapshot& snapshot = snapshots[Generation{manifest.generation()}];
    *snapshot.mutable_manifest() = manifest;
    snapshot.mutable_manifest()->clear_files();
    if (auto verdict = ReadGateVerdict(store_.dir(), Generation{manifest.generation()}); verdict.ok()) {
      *snapshot.mutable_gate() = *std::move(verdict);
    }
  }
  MutexLock lock(mutex_);
  for (const auto& [generation, refusal] : refused_) {
    v1::ListSnapshotsResponse::Snapshot& snapshot = snapshots[generation];
    snapshot.mutable_manifest()->set_generation(Value(generation));
    snapshot.set_refused(refusal.reason);
  }
  v1::ListSnapshotsResponse response;
  for (auto& [generation, snapshot] : snapshots) {
    snapshot.set_serving(serving_ == generation);
    *response.add_snapshots() = std::move(snapshot);
  }
  return response;
}

}  // namespace tributary::serving
