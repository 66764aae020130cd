#include "tests/simulation/replica.h"

#include "absl/strings/str_cat.h"
#include "tests/simulation/checker.h"

namespace tributary::simulation {

Replica::Process::Process(FakeEventLog& log, const FakeClock& clock, const v1::Config& config,
                          const MergePolicy& merge_policy, const std::string& snapshots_dir)
    : follower({.topics = Topics(""), .poll_timeout = absl::ZeroDuration()}, log, clock, live, context, metrics, [] {}),
      snapshots({.snapshots_dir = snapshots_dir, .block_cache_bytes = 1 << 20, .fold_in = {.memory_budget_bytes = 1 << 18}},
                merge_policy, clock, live, context, metrics),
      popularity(live, config.kafka().segment_size()),
      recommender({.stale_after = absl::Minutes(1),
                   .segment_size = config.kafka().segment_size(),
                   .popularity = &popularity},
                  merge_policy, clock, live, context, trends, [this] { return follower.log_reachable(); }) {}

Replica::Replica(FakeEventLog& log, const FakeClock& clock, const v1::Config& config, std::string snapshots_dir)
    : log_(log),
      clock_(clock),
      config_(config),
      snapshots_dir_(std::move(snapshots_dir)),
      policy_(*MergePolicy::FromProto(config.merge())) {
  Restart();
}

void Replica::Restart() {
  process_.reset();
  process_ = std::make_unique<Process>(log_, clock_, config_, policy_, snapshots_dir_);
  catalogue_version_ = 0;
  ++restarts_;
}

absl::Status Replica::Follow(size_t versions) {
  if (!process_->started) {
    // A start that fails ends the process; its supervisor starts another.
    if (!process_->follower.Start().ok()) {
      Restart();
      return absl::OkStatus();
    }
    process_->started = true;
  }
  process_->trends.RunOnce(clock_.Now());
  process_->trends.Resolve(clock_.Now(), process_->context);
  process_->popularity.RunOnce(clock_.Now(), process_->context);
  process_->follower.WatchLog();
  const absl::Status status = process_->follower.RunOnce();
  if (!status.ok()) return Failed("alive", absl::StrCat("the replica gave up: ", status.ToString()));
  if (process_->follower.log_reachable() && process_->follower.ready()) catalogue_version_ = versions - 1;
  return absl::OkStatus();
}

void Replica::Look() {
  (void)process_->snapshots.RunOnce(/*floor_known=*/process_->follower.ready());  // A directory may not be there yet.
}

}  // namespace tributary::simulation
