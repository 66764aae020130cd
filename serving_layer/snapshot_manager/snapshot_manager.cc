#include "serving_layer/snapshot_manager/snapshot_manager.h"

#include <glog/logging.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/snapshot/canary.h"
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

absl::Status SnapshotManager::RunOnce(bool floor_known) {
  std::error_code error;
  if (!std::filesystem::is_directory(options_.snapshots_dir, error)) {
    return absl::NotFoundError(absl::StrCat("snapshot directory missing: dir=", options_.snapshots_dir));
  }
  FollowCurrent(floor_known);
  if (floor_known) {
    FollowHeld();
  }
  return absl::OkStatus();
}

void SnapshotManager::FollowCurrent(bool floor_known) {
  while (true) {
    const SnapshotSituation situation = Look(floor_known);
    switch (Decide(situation)) {
      case SnapshotAction::kNothing:
        return;
      case SnapshotAction::kLoad:
        if (held_ != nullptr && held_->generation() == *situation.wanted && LiesAboveFloor(*held_).ok()) {
          loaded_ = held_;   // Verified already.
          break;
        }
        if (held_ != nullptr && held_->generation() != WantedBeside(ReadCanary(store_), *situation.wanted)) {
          Release();         // A canary that ends with the current one makes room for the next.
        }
        loaded_ = Load(*situation.wanted);
        break;
      case SnapshotAction::kSwap: {
        const Generation generation = loaded_->generation();
        if (const absl::Status floor = LiesAboveFloor(*loaded_); !floor.ok()) {
          Refuse(generation, floor);  // It was loaded before the floor was known.
          loaded_ = nullptr;
          break;
        }
        if (held_ == loaded_) {
          held_ = nullptr;
        }
        context_.Activate(std::exchange(loaded_, nullptr));
        {
          MutexLock lock(mutex_);
          serving_ = generation;
          if (held_ == nullptr) {
            holding_ = std::nullopt;
          }
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

void SnapshotManager::Release() {
  if (held_ == nullptr) {
    return;
  }
  LOG(INFO) << "snapshot no longer held beside the current one: generation=" << Value(held_->generation());
  held_ = nullptr;
  context_.Hold(nullptr, 0);
  MutexLock lock(mutex_);
  holding_ = std::nullopt;
}

void SnapshotManager::FollowHeld() {
  const absl::StatusOr<v1::Canary> canary = ReadCanary(store_);
  const bool unreadable = absl::IsDataLoss(canary.status());
  if (unreadable && !std::exchange(canary_unreadable_, unreadable)) {
    LOG(ERROR) << "no canary runs: cause=" << canary.status().message();
  }
  canary_unreadable_ = unreadable;
  const double share = canary.ok() ? canary->percent() / 100 : 0;
  while (true) {
    HeldSituation situation;
    if (held_ != nullptr) {
      situation.held = held_->generation();
      if (const absl::Status floor = LiesAboveFloor(*held_); !floor.ok()) {
        situation.held_below_floor = true;
        Refuse(*situation.held, floor);
      }
    }
    {
      MutexLock lock(mutex_);
      if (serving_) {
        situation.wanted = WantedBeside(canary, *serving_);
      }
      situation.wanted_refused = situation.wanted && InRefusal(*situation.wanted);
    }
    switch (DecideHeld(situation)) {
      case HeldAction::kNothing:
        if (held_ != nullptr && share != held_share_) {
          held_share_ = share;
          context_.Hold(held_, share);
          LOG(INFO) << "canary: generation=" << Value(held_->generation()) << " percent=" << 100 * share;
        }
        return;
      case HeldAction::kDrop:
        Release();
        break;
      case HeldAction::kLoad:
        held_ = Load(*situation.wanted);
        if (held_ == nullptr) {
          return;
        }
        held_share_ = share;
        context_.Hold(held_, share);
        LOG(INFO) << "snapshot held beside the current one: generation=" << Value(held_->generation())
                  << " percent=" << 100 * share;
        {
          MutexLock lock(mutex_);
          holding_ = held_->generation();
          refused_.erase(*holding_);
        }
        break;
    }
  }
}

std::optional<Generation> SnapshotManager::WantedBeside(const absl::StatusOr<v1::Canary>& canary,
                                                        Generation current) const {
  const std::optional<Generation> wanted =
      canary.ok() ? std::optional(Generation{canary->generation()}) : options_.experiment;
  return wanted == current ? std::nullopt : wanted;
}

absl::Status SnapshotManager::LiesAboveFloor(const LoadedSnapshot& snapshot) const {
  EpochGuard guard;
  return CheckFloor(snapshot, live_.partitions());
}

bool SnapshotManager::InRefusal(Generation generation) const {
  const auto refusal = refused_.find(generation);
  if (refusal == refused_.end()) {
    return false;
  }
  // A clock that jumped back must not wait for that time to come again.
  const absl::Duration since = clock_.Now() - refusal->second.refused_at;
  return since >= absl::ZeroDuration() && since < refusal->second.retry_after;
}

SnapshotSituation SnapshotManager::Look(bool floor_known) const {
  SnapshotSituation situation;
  situation.floor_known = floor_known;
  if (const absl::StatusOr<Generation> current = store_.Current(); current.ok()) {
    situation.wanted = *current;
  }
  if (loaded_ != nullptr) {
    situation.loaded = loaded_->generation();
  }
  MutexLock lock(mutex_);
  situation.serving = serving_;
  situation.wanted_refused = situation.wanted && InRefusal(*situation.wanted);
  return situation;
}

std::shared_ptr<const LoadedSnapshot> SnapshotManager::Load(Generation generation) {
  absl::StatusOr<std::shared_ptr<const LoadedSnapshot>> snapshot = LoadedSnapshot::Load(
      {.snapshots_dir = options_.snapshots_dir, .block_cache_bytes = options_.block_cache_bytes,
       .fold_in = options_.fold_in},
      generation, policy_);
  if (const absl::Status status = snapshot.ok() ? LiesAboveFloor(**snapshot) : snapshot.status(); !status.ok()) {
    Refuse(generation, status);
    return nullptr;
  }
  return *std::move(snapshot);
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
    LOG(ERROR) << "snapshot refused, what was served goes on: generation=" << Value(generation)
               << " serving=" << (serving_ ? Value(*serving_) : 0) << " cause=" << refusal.reason;
  }
}

v1::GetCanaryResponse SnapshotManager::Canary() const {
  v1::GetCanaryResponse response;
  if (absl::StatusOr<v1::Canary> canary = ReadCanary(store_); canary.ok()) {
    *response.mutable_canary() = *std::move(canary);
    const Generation generation{response.canary().generation()};
    MutexLock lock(mutex_);
    response.set_serving(holding_ == generation);
    if (const auto refusal = refused_.find(generation); refusal != refused_.end()) {
      response.set_refused(refusal->second.reason);
    }
  }
  return response;
}

absl::StatusOr<v1::Canary> SnapshotManager::StartCanary(v1::Canary canary) const {
  const absl::StatusOr<Generation> current = store_.Current();
  if (options_.experiment && Value(*options_.experiment) != canary.generation() &&
      !(current.ok() && *current == *options_.experiment)) {
    return absl::FailedPreconditionError(absl::StrCat("an experiment holds another snapshot: generation=", canary.generation(),
                                                      " held=", Value(*options_.experiment)));
  }
  const absl::Time now = clock_.Now();
  canary.mutable_started()->set_seconds(absl::ToUnixSeconds(now));
  return tributary::StartCanary(store_, std::move(canary));
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
    snapshot.set_held(holding_ == generation);
    *response.add_snapshots() = std::move(snapshot);
  }
  return response;
}

}  // namespace tributary::serving
