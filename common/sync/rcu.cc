#include "common/sync/rcu.h"

#include <chrono>
#include <thread>

namespace tributary {
namespace rcu_internal {
namespace {

std::atomic<Slot*>& Slots() {
  static std::atomic<Slot*> slots{nullptr};
  return slots;
}

Slot* AcquireSlot() {
  for (Slot* slot = Slots().load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    bool free = false;
    if (!slot->owned.load(std::memory_order_relaxed) &&
        slot->owned.compare_exchange_strong(free, true, std::memory_order_acquire)) {
      return slot;
    }
  }
  auto* slot = new Slot;  // Reachable from Slots() for good.
  slot->next = Slots().load(std::memory_order_relaxed);
  while (!Slots().compare_exchange_weak(slot->next, slot, std::memory_order_seq_cst)) {
  }
  return slot;
}

struct SlotOwner {
  Slot* slot = AcquireSlot();
  ~SlotOwner() { slot->owned.store(false, std::memory_order_release); }
};

}  // namespace

Slot& ThreadSlot() {
  thread_local SlotOwner owner;
  return *owner.slot;
}

std::atomic<uint64_t>& CurrentEpoch() {
  static std::atomic<uint64_t> epoch{1};
  return epoch;
}

}  // namespace rcu_internal

uint64_t RaiseEpoch() { return rcu_internal::CurrentEpoch().fetch_add(1, std::memory_order_seq_cst) + 1; }

bool ReadersReached(uint64_t epoch) {
  for (const rcu_internal::Slot* slot = rcu_internal::Slots().load(std::memory_order_seq_cst); slot != nullptr;
       slot = slot->next) {
    const uint64_t reading = slot->epoch.load(std::memory_order_seq_cst);
    if (reading != 0 && reading < epoch) {
      return false;
    }
  }
  return true;
}

void AwaitReaders(uint64_t epoch) {
  constexpr int kYields = 64;  // A reader is done in microseconds unless it lost its core.
  for (int i = 0; !ReadersReached(epoch); ++i) {
    if (i < kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

}  // namespace tributary
