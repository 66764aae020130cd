#include "tests/simulation/speed_fleet.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tributary::simulation {
namespace {

constexpr size_t kMaxZombies = 3;

}  // namespace

std::string SpeedFleet::InstanceName(int slot) { return absl::StrCat("instance-", slot); }

bool SpeedFleet::Start(int slot) {
  std::unique_ptr<speed::SpeedLayer>& layer = slots_[static_cast<size_t>(slot)];
  if (layer != nullptr) {
    zombies_.push_back(std::move(layer));
    if (zombies_.size() > kMaxZombies) zombies_.pop_front();
  }
  speed::SpeedLayer::Options options{.config = config_, .poll_timeout = absl::ZeroDuration(), .retry_seed = 1};
  options.config.mutable_speed()->set_instance(InstanceName(slot));
  auto opened = speed::SpeedLayer::Open(log_, clock_, metrics_, options);
  if (opened.ok()) layer = *std::move(opened);
  return layer != nullptr;
}

absl::Status SpeedFleet::Excuse(const absl::Status& status) {
  const bool fenced = absl::IsFailedPrecondition(status) && !absl::StrContains(status.message(), "created anew");
  if (status.ok() || fenced || absl::IsUnavailable(status) || absl::IsAborted(status)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("speed layer gave up: ", status.ToString()));
}

absl::Status SpeedFleet::Round(int slot) {
  std::unique_ptr<speed::SpeedLayer>& layer = slots_[static_cast<size_t>(slot)];
  if (layer == nullptr) return absl::OkStatus();
  const absl::Status status = layer->RunOnce();
  if (!status.ok()) layer.reset();
  return Excuse(status);
}

absl::Status SpeedFleet::ZombieRound() {
  if (zombies_.empty()) return absl::OkStatus();
  std::unique_ptr<speed::SpeedLayer> zombie = std::move(zombies_.front());
  zombies_.pop_front();
  const absl::Status status = zombie->RunOnce();
  if (status.ok()) zombies_.push_back(std::move(zombie));
  return Excuse(status);
}

void SpeedFleet::Stop(int slot) {
  if (layer(slot) == nullptr) return;
  (void)layer(slot)->Stop();  // What it could not commit, its successor applies again.
  Crash(slot);
}

void SpeedFleet::ExpireTransactions(int slot) {
  for (const char* turn : {"-0", "-1"}) log_.ExpireTransaction(absl::StrCat(Group(), "-", InstanceName(slot), turn));
}

void SpeedFleet::BuryTheDead() {
  zombies_.clear();
  for (int slot = 0; slot < kSpeedSlots; ++slot) {
    if (layer(slot) == nullptr) ExpireTransactions(slot);
  }
  log_.ExpireDeadMembers(Group());
}

}  // namespace tributary::simulation
