#include "tests/simulation/speed_fleet.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/simulation/checker.h"

namespace tributary::simulation {
namespace {

constexpr size_t kMaxZombies = 3;

}  // namespace

std::string SpeedFleet::InstanceName(int slot) { return absl::StrCat("instance-", slot); }

bool SpeedFleet::Start(int slot, Memory memory) {
  Instance& instance = slots_[static_cast<size_t>(slot)];
  if (instance != nullptr) {
    zombies_.push_back(std::exchange(instance, nullptr));
    if (zombies_.size() > kMaxZombies) zombies_.pop_front();
  }
  auto machine = std::make_shared<Machine>();
  machine->memory = memory;
  speed::SpeedLayer::Options options{.config = config_,
                                     .store = &machine->store,
                                     .poll_timeout = absl::ZeroDuration(),
                                     .retry_seed = 1,
                                     .restore_threads = 0};
  options.config.mutable_speed()->set_instance(InstanceName(slot));
  if (memory != Memory::kAll) options.config.mutable_speed()->set_memory_budget_bytes(1);
  auto opened = speed::SpeedLayer::Open(log_, clock_, metrics_, options);
  if (!opened.ok()) return false;
  machine->layer = *std::move(opened);
  instance = std::move(machine);
  return true;
}

absl::Status SpeedFleet::Excuse(const absl::Status& status) {
  const bool fenced = absl::IsFailedPrecondition(status) && !absl::StrContains(status.message(), "created anew");
  if (status.ok() || fenced || absl::IsUnavailable(status) || absl::IsAborted(status)) return absl::OkStatus();
  return Failed("alive", absl::StrCat("the speed layer gave up: ", status.ToString()));
}

absl::Status SpeedFleet::RoundOf(const Instance& instance, bool* end) {
  if (!in_round_.insert(instance.get()).second) return absl::OkStatus();
  ++instance->rounds;
  instance->store.SetFull(instance->memory == Memory::kDiskFull && instance->rounds % 2 == 0);
  const absl::Status status = instance->layer->RunOnce();
  in_round_.erase(instance.get());
  *end = !status.ok();
  return Excuse(status);
}

absl::Status SpeedFleet::Round(int slot) {
  const Instance instance = slots_[static_cast<size_t>(slot)];
  if (instance == nullptr) return absl::OkStatus();
  bool end = false;
  const absl::Status status = RoundOf(instance, &end);
  if (end && slots_[static_cast<size_t>(slot)] == instance) slots_[static_cast<size_t>(slot)] = nullptr;
  return status;
}

absl::Status SpeedFleet::ZombieRound() {
  if (zombies_.empty()) return absl::OkStatus();
  const Instance zombie = zombies_.front();
  zombies_.pop_front();
  bool end = false;
  const absl::Status status = RoundOf(zombie, &end);
  if (!end) zombies_.push_back(zombie);
  return status;
}

void SpeedFleet::Stop(int slot) {
  const Instance instance = slots_[static_cast<size_t>(slot)];  // Crashes, too, may come while it stops.
  if (instance == nullptr || !in_round_.insert(instance.get()).second) return;
  (void)instance->layer->Stop();  // What it could not commit, its successor applies again.
  in_round_.erase(instance.get());
  if (slots_[static_cast<size_t>(slot)] == instance) Crash(slot);
}

void SpeedFleet::ExpireTransactions(int slot) {
  for (const char* turn : {"-0", "-1"}) log_.ExpireTransaction(absl::StrCat(Group(), "-", InstanceName(slot), turn));
}

void SpeedFleet::Crash(int slot) {
  if (!in_round_.contains(slots_[static_cast<size_t>(slot)].get())) slots_[static_cast<size_t>(slot)] = nullptr;
}

void SpeedFleet::BuryTheDead() {
  zombies_.clear();
  log_.ExpireDeadTransactions();
  log_.ExpireDeadMembers(Group());
}

}  // namespace tributary::simulation
