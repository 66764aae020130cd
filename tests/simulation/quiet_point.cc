#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "tests/simulation/world.h"
#include "tributary/v1/dead_letter.pb.h"

// World: everything is healed, comes to rest, and must then be exactly what the reference says.
namespace tributary::simulation {
namespace {

constexpr int kMaxSpeedRounds = 3000;
// Of 100 ms each: longer than a replica waits at most until it looks again at a snapshot that it refused.
constexpr int kMaxReplicaRounds = 1000;
// Rounds without a change until the speed layer counts as at rest: long enough for floors to be looked at.
constexpr int kRestingRounds = 15;

using reference::Place;
using reference::Verdict;

// Transactions of producers consume nothing, so nobody looks at their membership.
class NoMembership final : public GroupMembership {};
const NoMembership kNoMembership;

// Where the record was that a dead letter or a late event tells of.
template <typename Message>
absl::Status Sources(const FakeEventLog& log, const std::string& topic, std::set<Place>* places) {
  for (int partition = 0; partition < kPartitions; ++partition) {
    for (const LogRecord& record : log.Records({topic, PartitionId{partition}}, Isolation::kCommitted)) {
      Message message;
      if (!record.value || !message.ParseFromString(*record.value)) return Failed("speed", topic + " is unreadable");
      if (!places->insert({message.source().partition(), message.source().offset()}).second) {
        return Failed("speed", absl::StrCat("came twice to ", topic, ": ", message.ShortDebugString()));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status World::QuietPoint() {
  ++tally_.quiet_points;
  Heal();
  TRIBUTARY_RETURN_IF_ERROR(SettleSpeed());
  truth_.Read(log_, partitions_);
  TRIBUTARY_RETURN_IF_ERROR(CheckSpeed());
  TRIBUTARY_RETURN_IF_ERROR(CheckFloors());
  for (int i = 0; i < kReplicas; ++i) {
    TRIBUTARY_RETURN_IF_ERROR(SettleReplica(i));
    // What rests on the counts of the round before is a round behind.
    TRIBUTARY_RETURN_IF_ERROR(replicas_[static_cast<size_t>(i)]->Follow(truth_.versions().size()));
    const Replica& replica = *replicas_[static_cast<size_t>(i)];
    TRIBUTARY_RETURN_IF_ERROR(CheckFollowed(replica));
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckTotals(replica, /*at_rest=*/true));
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckPopular(replica));
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckWindows(replica));
    for (int user = 0; user < kUsers; ++user) {
      TRIBUTARY_RETURN_IF_ERROR(checker_.CheckAnswer(replica, absl::StrCat("user-", user), /*variant=*/user));
    }
  }
  return absl::OkStatus();
}

// What is announced can be rolled back to: no floor lies above its W.
absl::Status World::CheckFloors() {
  std::map<std::string, v1::SnapshotAnnouncement> announced;
  for (const LogRecord& record : log_.Records({topics_.snapshots, PartitionId{0}}, Isolation::kCommitted)) {
    announced[record.key].ParseFromString(record.value.value_or(""));
  }
  for (int partition = 0; partition < partitions_; ++partition) {
    const int64_t floor = LastProgress(partition).position().floor();
    for (const auto& [generation, announcement] : announced) {
      if (announcement.status() == v1::RETIRED) continue;
      int64_t watermark = 0;
      for (const v1::PartitionWatermark& mark : announcement.watermarks()) {
        if (mark.partition() == partition) watermark = mark.watermark();
      }
      if (floor > watermark) {
        return Failed("floor", absl::StrCat("of partition ", partition, " is ", floor, " above W=", watermark,
                                            " of generation ", generation, ", which is retained"));
      }
    }
  }
  return absl::OkStatus();
}

// A user of whom the speed layer has nothing left is none of the replica's either.
absl::Status World::CheckFollowed(const Replica& replica) {
  EpochGuard guard;
  for (int partition = 0; partition < partitions_; ++partition) {
    std::map<std::string, bool> there;
    for (const LogRecord& record : log_.Records({topics_.speed_views, PartitionId{partition}}, Isolation::kCommitted)) {
      there[record.key] = record.value.has_value();
    }
    for (int i = 0; i < kUsers; ++i) {
      const std::string user = absl::StrCat("user-", i);
      const serving::LiveUserViews* views = replica.process().live.FindUser(user);
      if (views == nullptr || there[user]) continue;
      for (const auto& view : views->views) {
        if (Value(view->partition) == partition &&
            (!view->facts.empty() || !view->recent.empty() || !view->impressions.empty())) {
          return Failed("followed", absl::StrCat(user, " has a view on partition ", partition, " that was deleted"));
        }
      }
    }
  }
  return absl::OkStatus();
}

void World::Heal() {
  log_.SetBrokerAway(false);
  log_.StopFailing();
  for (auto& [id, transaction] : transactions_) {
    if (id % 2 == 0) {
      (void)transaction->Commit({}, kNoMembership);
    } else {
      (void)transaction->Abort();
    }
  }
  transactions_.clear();
  for (const std::string& topic : {topics_.events, topics_.speed_views, topics_.live_counts}) {
    for (int partition = 0; partition < partitions_; ++partition) {
      log_.ReleasePartition({topic, PartitionId{partition}});
    }
  }
  log_.ReleaseAllMarkers();
  for (FakeClock& clock : clocks_) clock.Set(broker_clock_.Now());
  speed_.BuryTheDead();
}

std::string World::WhatSpeedLacks() {
  int owned = 0;
  for (int slot = 0; slot < kSpeedSlots; ++slot) {
    speed::SpeedLayer* layer = speed_.layer(slot);
    if (layer == nullptr) continue;
    if (layer->restoring()) return absl::StrCat("state of instance ", slot);
    if (layer->trimming() || layer->in_transaction()) return absl::StrCat("an end of the work of instance ", slot);
    for (int partition = 0; partition < partitions_; ++partition) {
      const speed::PartitionState* state = layer->partition(PartitionId{partition});
      if (state == nullptr) continue;
      ++owned;
      const auto range = log_.Offsets({topics_.events, PartitionId{partition}}, Isolation::kCommitted);
      if (!range.ok() || state->dirty() || state->applied() < range->end) {
        return absl::StrCat("the end of partition ", partition, ": applied=", Value(state->applied()),
                            " end=", range.ok() ? Value(range->end) : -1);
      }
    }
  }
  return owned == partitions_ ? "" : absl::StrCat("owners: ", owned, " of ", partitions_, " partitions have one");
}

absl::Status World::SettleSpeed() {
  std::string lacks;
  int resting = 0;
  for (int round = 0; round < kMaxSpeedRounds; ++round) {
    bool any = false;
    for (int slot = 0; slot < kSpeedSlots; ++slot) {
      TRIBUTARY_RETURN_IF_ERROR(speed_.Round(slot));
      if (speed_.layer(slot) == nullptr) {
        speed_.BuryTheDead();  // It may learn only now that it was fenced.
      } else {
        any = true;
      }
    }
    if (!any) speed_.Start(0, SpeedFleet::Memory::kAll);
    LetTimePass(absl::Milliseconds(20));
    lacks = WhatSpeedLacks();
    resting = lacks.empty() ? resting + 1 : 0;
    if (resting > kRestingRounds) return absl::OkStatus();
  }
  return Failed("rest", absl::StrCat("the speed layer does not come to rest, it lacks ", lacks));
}

absl::Status World::SettleReplica(int number) {
  Replica& replica = *replicas_[static_cast<size_t>(number)];
  if (SnapshotCopy* copy = copies_[static_cast<size_t>(number)].get()) copy->Finish();
  const std::optional<Generation> current = batch_.Current();
  std::string lacks;
  for (int round = 0; round < kMaxReplicaRounds; ++round) {
    TRIBUTARY_RETURN_IF_ERROR(replica.Follow(truth_.versions().size()));
    replica.Look();
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckReplica(number, replica));
    lacks.clear();
    EpochGuard guard;
    const serving::LivePartitions& live = replica.process().live.partitions();
    if (!replica.process().follower.ready()) lacks = "ready";
    if (static_cast<int>(live.partitions.size()) != partitions_) lacks = "a partition";
    bool servable = current.has_value();
    if (current) {
      // A rollback may have come while the generation was being retired: then the last good one stays.
      const auto manifest = batch_.store().ReadManifest(*current);
      if (!manifest.ok()) return Failed("current", manifest.status().ToString());
      std::map<int, int64_t> watermarks;
      for (const v1::PartitionWatermark& mark : manifest->watermarks()) watermarks[mark.partition()] = mark.watermark();
      for (size_t p = 0; p < live.partitions.size(); ++p) {
        servable &= watermarks[static_cast<int>(p)] >= Value(live.partitions[p].floor());
      }
    }
    if (servable && replica.process().context.context().generation() != *current) lacks = "the current generation";
    for (size_t p = 0; p < live.partitions.size(); ++p) {
      const auto range = log_.Offsets({topics_.events, PartitionId{static_cast<int32_t>(p)}}, Isolation::kCommitted);
      if (live.partitions[p].applied() < range->end) lacks = "the end of events";
    }
    if (lacks.empty()) return absl::OkStatus();
    LetTimePass(absl::Milliseconds(100));
  }
  return Failed("rest", absl::StrCat("replica ", number, " does not come to rest, it lacks ", lacks));
}

absl::Status World::CheckSpeed() {
  std::map<int32_t, std::map<Verdict, int64_t>> verdicts;
  std::set<Place> rejected;
  for (const auto& [place, verdict] : truth_.reference().verdicts()) {
    ++verdicts[place.partition][verdict];
    if (verdict == Verdict::kRejected && place.partition >= 0) rejected.insert(place);
  }
  // An instance that finds snapshots and no progress passes over what is too old to matter.
  bool passed_over = false;
  for (int partition = 0; partition < partitions_; ++partition) {
    const v1::Progress progress = LastProgress(partition);
    std::map<Verdict, int64_t>& wanted = verdicts[partition];
    const int64_t all = wanted[Verdict::kAccepted] + wanted[Verdict::kDuplicate] + wanted[Verdict::kRejected];
    const int64_t got = progress.accepted() + progress.duplicates() + progress.dead_lettered();
    if (got < all && !truth_.activated.empty()) {
      passed_over = true;
    } else if (progress.accepted() != wanted[Verdict::kAccepted] || got != all ||
               progress.duplicates() != wanted[Verdict::kDuplicate]) {
      return Failed("speed", absl::StrCat("progress of partition ", partition, " counts ", progress.ShortDebugString(),
                                          " where the log has accepted=", wanted[Verdict::kAccepted],
                                          " duplicates=", wanted[Verdict::kDuplicate],
                                          " rejected=", wanted[Verdict::kRejected]));
    }
    if (progress.gap_end_offset() > 0) return Failed("speed", "a gap that is none");
  }
  std::set<Place> letters;
  TRIBUTARY_RETURN_IF_ERROR(Sources<v1::DeadLetter>(log_, topics_.dead_letters, &letters));
  std::set<Place> late;
  TRIBUTARY_RETURN_IF_ERROR(Sources<v1::LateEvent>(log_, topics_.late_events, &late));
  std::set<Place> wanted_late =
      truth_.reference().LaterThan(int64_t{1000} * config_.speed().allowed_lateness_seconds());
  std::erase_if(wanted_late, [](const Place& place) { return place.partition < 0; });
  const auto right = [passed_over](const std::set<Place>& got, const std::set<Place>& wanted) {
    return passed_over ? std::includes(wanted.begin(), wanted.end(), got.begin(), got.end()) : got == wanted;
  };
  if (!right(letters, rejected)) {
    return Failed("speed", absl::StrCat("dead letters: ", letters.size(), " of ", rejected.size()));
  }
  if (!right(late, wanted_late)) {
    return Failed("speed", absl::StrCat("late events: ", late.size(), " of ", wanted_late.size()));
  }
  return absl::OkStatus();
}

}  // namespace tributary::simulation
