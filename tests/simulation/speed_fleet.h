#ifndef TRIBUTARY_TESTS_SIMULATION_SPEED_FLEET_H_
#define TRIBUTARY_TESTS_SIMULATION_SPEED_FLEET_H_

#include <array>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/metrics/metrics.h"
#include "speed_layer/speed_layer.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/fake_local_store.h"
#include "tests/simulation/plan.h"

namespace tributary::simulation {

// Instances of the speed layer by slot, each slot a name; and the zombies: instances that another of the same name has
// replaced, and that go on as long as nothing tells them. An instance that ends with an error is gone, as under a
// supervisor; the error counts only if it says that what is stored, or the code, is at fault.
class SpeedFleet {
 public:
  SpeedFleet(FakeEventLog& log, const FakeClock& clock, v1::Config config)
      : log_(log), clock_(clock), config_(std::move(config)) {}

  // How much of its users an instance keeps in memory.
  enum class Memory {
    kAll,
    kNone,      // But for those that changed since they were written.
    kDiskFull,  // As kNone, but the disk for the others is full every other time.
  };
  // Answers whether it is up: the broker may be away.
  bool Start(int slot, Memory memory);
  absl::Status Round(int slot);
  absl::Status ZombieRound();
  void Stop(int slot);
  void Crash(int slot);
  // Ends the zombies, and what the broker keeps for instances that are gone.
  void BuryTheDead();

  speed::SpeedLayer* layer(int slot) {
    const Instance& instance = slots_[static_cast<size_t>(slot)];
    return instance == nullptr ? nullptr : instance->layer.get();
  }
  std::string Group() const { return config_.speed().group(); }
  static std::string InstanceName(int slot);
  // The broker's time limit for what the instance of the slot has open.
  void ExpireTransactions(int slot);

 private:
  // An instance and its disk.
  struct Machine {
    FakeLocalStore store;
    Memory memory = Memory::kAll;
    int64_t rounds = 0;
    std::unique_ptr<speed::SpeedLayer> layer;
  };
  using Instance = std::shared_ptr<Machine>;  // Shared by its slot and its round.

  // One round, unless the instance stands still in the middle of one. `*end`: it is at its end.
  absl::Status RoundOf(const Instance& instance, bool* end);
  // OK when the end of an instance with this error is nothing to wonder at.
  static absl::Status Excuse(const absl::Status& status);

  FakeEventLog& log_;
  const FakeClock& clock_;
  const v1::Config config_;
  MetricsRegistry metrics_;
  std::array<Instance, kSpeedSlots> slots_;
  std::deque<Instance> zombies_;
  std::set<const Machine*> in_round_;
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_SPEED_FLEET_H_
