#include "batch_layer/pipeline/lifecycle.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/snapshot/canary.h"
#include "common/snapshot/gate_verdict.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr absl::Duration kProduceTimeout = absl::Seconds(30);

absl::StatusOr<std::vector<v1::SnapshotManifest>> ListOrNone(const SnapshotStore& store) {
  absl::StatusOr<std::vector<v1::SnapshotManifest>> manifests = store.List();
  return absl::IsNotFound(manifests.status()) ? std::vector<v1::SnapshotManifest>() : std::move(manifests);
}

}  // namespace

SnapshotLifecycle::SnapshotLifecycle(SnapshotStore& store, EventLog* log, const Clock& clock, Options options)
    : store_(store), log_(log), clock_(clock), options_(std::move(options)) {}

absl::StatusOr<SnapshotLifecycle::Announcements> SnapshotLifecycle::ReadTopic() {
  Announcements announcements;
  if (log_ == nullptr) {
    return announcements;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto records, ReadCompacted(*log_, options_.topic, options_.read));
  for (const auto& [key, value] : records) {
    int64_t generation = 0;
    v1::SnapshotAnnouncement announcement;
    if (value && absl::SimpleAtoi(key, &generation) && announcement.ParseFromString(*value)) {
      announcements[generation] = std::move(announcement);
    }
  }
  return announcements;
}

absl::StatusOr<Generation> SnapshotLifecycle::NextGeneration() {
  TRIBUTARY_ASSIGN_OR_RETURN(const Announcements announcements, ReadTopic());
  const absl::StatusOr<Generation> stored = store_.LastGeneration();
  if (!stored.ok() && !absl::IsNotFound(stored.status())) {
    return stored.status();
  }
  const int64_t announced = announcements.empty() ? 0 : announcements.rbegin()->first;
  return Generation{std::max(announced, Value(stored.value_or(Generation{0}))) + 1};
}

absl::Status SnapshotLifecycle::Announce(const v1::SnapshotManifest& manifest, v1::SnapshotStatus status,
                                         Announcements* known) {
  const auto before = known->find(manifest.generation());
  if (log_ == nullptr || (before != known->end() && before->second.status() == status)) {
    return absl::OkStatus();
  }
  v1::SnapshotAnnouncement announcement;
  announcement.set_generation(manifest.generation());
  announcement.set_status(status);
  *announcement.mutable_watermarks() = manifest.watermarks();
  const absl::Time now = clock_.Now();
  announcement.mutable_time()->set_seconds(absl::ToUnixSeconds(now));
  announcement.set_content_digest(manifest.content_digest());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogProducer> producer, log_->OpenProducer());
  ProduceRecord record;
  record.topic = options_.topic;
  record.key = absl::StrCat(manifest.generation());
  record.value = announcement.SerializeAsString();
  TRIBUTARY_RETURN_IF_ERROR(producer->Produce(std::move(record), kProduceTimeout).status());
  LOG(INFO) << "snapshots: generation=" << manifest.generation() << " announced as " << v1::SnapshotStatus_Name(status);
  (*known)[manifest.generation()] = std::move(announcement);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Generation>> SnapshotLifecycle::Current() const {
  const absl::StatusOr<Generation> current = store_.Current();
  if (absl::IsNotFound(current.status())) {
    return std::nullopt;
  }
  TRIBUTARY_RETURN_IF_ERROR(current.status());
  return std::optional<Generation>(*current);
}

std::vector<Generation> SnapshotLifecycle::Retired(const std::vector<v1::SnapshotManifest>& manifests,
                                                   std::optional<Generation> current,
                                                   const Announcements& known) const {
  std::optional<Generation> before;
  if (current) {
    const absl::StatusOr<v1::GateVerdict> verdict = ReadGateVerdict(store_.dir(), *current);
    before = Generation{verdict.ok() ? verdict->active_generation() : 0};
  }
  const absl::StatusOr<v1::Canary> canary = ReadCanary(store_);
  const Generation candidate{canary.ok() ? canary->generation() : 0};
  std::vector<StoredSnapshot> snapshots;
  for (const v1::SnapshotManifest& manifest : manifests) {
    const Generation generation{manifest.generation()};
    const auto announced = known.find(manifest.generation());
    const bool was_retired = announced != known.end() && announced->second.status() == v1::RETIRED;
    snapshots.push_back({.generation = generation,
                         .in_use = generation == current || generation == candidate ||
                                   (generation == before && !was_retired) ||
                                   (options_.kept.contains(generation) && !was_retired),
                         .refused = WasRefused(store_.dir(), generation),
                         .retired = was_retired});
  }
  return ToRetire(snapshots, options_.retained);
}

absl::StatusOr<std::vector<Generation>> SnapshotLifecycle::Settle() {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, ListOrNone(store_));
  TRIBUTARY_ASSIGN_OR_RETURN(Announcements known, ReadTopic());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<Generation> current, Current());
  const std::vector<Generation> retired = Retired(manifests, current, known);
  const auto goes = [&retired](const v1::SnapshotManifest& manifest) {
    return std::find(retired.begin(), retired.end(), Generation{manifest.generation()}) != retired.end();
  };
  // First what stays: the speed layer never sees a moment without it.
  for (const v1::SnapshotManifest& manifest : manifests) {
    if (!goes(manifest)) {
      const bool is_current = Generation{manifest.generation()} == current;
      TRIBUTARY_RETURN_IF_ERROR(Announce(manifest, is_current ? v1::ACTIVATED : v1::RETAINED, &known));
    }
  }
  for (const v1::SnapshotManifest& manifest : manifests) {
    if (goes(manifest)) {
      TRIBUTARY_RETURN_IF_ERROR(Announce(manifest, v1::RETIRED, &known));
    }
  }
  // What is announced but has no files any more holds the speed layer's floor down for nothing.
  const Announcements all = known;
  for (const auto& [generation, announcement] : all) {
    const bool there = std::any_of(manifests.begin(), manifests.end(),
                                   [g = generation](const v1::SnapshotManifest& m) { return m.generation() == g; });
    if (!there && announcement.status() != v1::RETIRED) {
      v1::SnapshotManifest gone;
      gone.set_generation(generation);
      *gone.mutable_watermarks() = announcement.watermarks();
      gone.set_content_digest(announcement.content_digest());
      TRIBUTARY_RETURN_IF_ERROR(Announce(gone, v1::RETIRED, &known));
    }
  }
  std::vector<Generation> removed;
  if (!retired.empty() && log_ != nullptr) {
    options_.sleep(options_.retire_grace);
    if (options_.read.stopped()) {
      return absl::CancelledError(
          "stopped before the grace of retired generations was over; the next run deletes them");
    }
  }
  for (const Generation generation : retired) {
    const absl::Status status = store_.Remove(generation);
    // It was activated, or became a canary, during the grace: it stays, and the next run announces it anew.
    if (absl::IsFailedPrecondition(status)) {
      LOG(WARNING) << "snapshots: a generation came into use while it was being retired: " << status.message();
      continue;
    }
    TRIBUTARY_RETURN_IF_ERROR(status);
    removed.push_back(generation);
  }
  return removed;
}

}  // namespace tributary::batch
