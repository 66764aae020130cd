#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "tests/simulation/world.h"

// World: what goes wrong.
namespace tributary::simulation {

std::string World::TopicOf(int64_t number) const {
  const std::array<std::string, 6> topics = {topics_.events, topics_.speed_views, topics_.live_counts,
                                             topics_.items,  topics_.rules,       topics_.snapshots};
  return topics[static_cast<size_t>(number) % topics.size()];
}

TopicPartition World::PartitionOf(const Step& step) const {
  return {TopicOf(step.number % 3), PartitionId{step.who % partitions_}};
}

absl::Status World::DoFault(const Step& step) {
  const int slot = step.who % kSpeedSlots;
  switch (step.action) {
    case Action::kCrashSpeed:
      speed_.Crash(slot);
      break;
    case Action::kZombie:
      return speed_.ZombieRound();
    case Action::kStopSpeed:
      speed_.Stop(slot);
      break;
    case Action::kRestart:
      replicas_[static_cast<size_t>(step.who % kReplicas)]->Restart();
      break;
    case Action::kExpireMember:
      log_.ExpireMember(speed_.Group(), SpeedFleet::InstanceName(slot));
      break;
    case Action::kExpireTransaction:
      speed_.ExpireTransactions(slot);
      break;
    case Action::kRebalance:
      log_.Rebalance(speed_.Group());
      break;
    case Action::kFail:
      Fail(step);
      break;
    case Action::kPause: {
      using Operation = FakeEventLog::Operation;
      constexpr std::array kOperations = {Operation::kBegin, Operation::kCommit, Operation::kProduce};
      log_.InterruptNext(kOperations[static_cast<size_t>(step.who) % kOperations.size()],
                         [this, steps = step.number] { DoSome(steps); }, step.more);
      break;
    }
    case Action::kHold:
      log_.HoldPartition(PartitionOf(step));
      break;
    case Action::kRelease:
      log_.ReleasePartition(PartitionOf(step));
      break;
    case Action::kDelayMarkers:
      log_.DelayMarkers(PartitionOf(step));
      break;
    case Action::kReleaseMarkers:
      log_.ReleaseMarkers(PartitionOf(step));
      break;
    case Action::kBroker:
      log_.SetBrokerAway(step.who == 1);
      break;
    case Action::kCompact: {
      const std::string topic = TopicOf(1 + step.number % 5);
      // A deletion in `items` or `rules` is remembered for as long as its tombstone; the speed layer's are not needed.
      const bool state = topic == topics_.speed_views || topic == topics_.live_counts;
      log_.Compact(topic, /*tombstones=*/state && step.more == 1);
      break;
    }
    case Action::kTruncate:
      Truncate(step);
      break;
    case Action::kAddPartition:
      AddPartition();
      break;
    case Action::kJumpClock:
      if (step.who == kMachines) {
        broker_clock_.Advance(-absl::Milliseconds(std::abs(step.number) % absl::ToInt64Milliseconds(absl::Hours(1))));
      } else {
        clocks_[static_cast<size_t>(step.who % kMachines)].Advance(absl::Milliseconds(step.number));
      }
      break;
    case Action::kLeftovers:
      batch_.LeaveLeftovers();
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

void World::Fail(const Step& step) {
  using Operation = FakeEventLog::Operation;
  const auto operation = static_cast<Operation>(step.who % 8);
  // Commits alone are answered with Aborted; Begin does not ask the broker, so no answer of its can be lost.
  const bool aborted = step.more == 2 && operation == Operation::kCommit;
  const bool after = step.more == 1 && operation != Operation::kBegin;
  log_.FailNext(operation, static_cast<int>(step.number),
                aborted ? absl::AbortedError("injected") : absl::UnavailableError("injected"),
                after ? FakeEventLog::When::kAfter : FakeEventLog::When::kInstead);
}

// Retention takes what both the history and the speed layer have read, as it may.
void World::Truncate(const Step& step) {
  const PartitionId partition{step.who % partitions_};
  truth_.Read(log_, partitions_);
  const int64_t applied = LastProgress(Value(partition)).position().applied_offset();
  const int64_t free = std::min(applied, Value(batch_.HistoryEnd(partition)));
  log_.TruncateBefore({topics_.events, partition}, Offset{free * step.number / 100});
}

void World::AddPartition() {
  if (partitions_ == kMaxPartitions) return;
  ++partitions_;
  for (const std::string& topic : {topics_.speed_views, topics_.live_counts, topics_.events}) {
    log_.AddPartitions(topic, partitions_);
  }
}

}  // namespace tributary::simulation
