#ifndef TRIBUTARY_COMMON_SYNC_RCU_H_
#define TRIBUTARY_COMMON_SYNC_RCU_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

// Read-copy-update: readers never wait for a writer, writers wait for readers.
//
// A reader opens an EpochGuard, which stores the current epoch in a slot of its own thread, and then loads pointers: what
// they point to stays until the guard closes. A writer swaps a pointer, raises the epoch, and frees the old object once
// every slot is empty or holds a younger epoch. Guards nest; keep them short (a request, not a wait), since everything
// that any writer replaces meanwhile is kept.
//
//   Rcu<Context> context(std::make_unique<Context>(...));
//   { EpochGuard guard; const Context& now = *context.Load(); ... }   // Any thread.
//   context.Publish(std::make_unique<Context>(...));                   // The writer; returns when the old one is gone.
namespace tributary {

namespace rcu_internal {

// One thread's announcement. Slots are linked for good and used again by later threads.
struct alignas(64) Slot {
  std::atomic<uint64_t> epoch{0};     // 0: not reading.
  std::atomic<bool> owned{true};
  Slot* next = nullptr;
  uint64_t depth = 0;                 // Of nested guards; only the owning thread looks.
};

// The slot of the calling thread, given back when the thread ends.
Slot& ThreadSlot();
// Epochs start at 1.
std::atomic<uint64_t>& CurrentEpoch();

}  // namespace rcu_internal

// Keeps alive whatever this thread loads from an Rcu or an RcuMap, until it is destroyed. On the stack of one thread.
class EpochGuard {
 public:
  EpochGuard() : slot_(rcu_internal::ThreadSlot()) {
    if (slot_.depth++ == 0) {
      // Sequentially consistent, as the loads of Rcu and RcuMap: the announcement comes before the load of any pointer.
      slot_.epoch.store(rcu_internal::CurrentEpoch().load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    }
  }
  ~EpochGuard() {
    if (--slot_.depth == 0) {
      slot_.epoch.store(0, std::memory_order_release);
    }
  }
  EpochGuard(const EpochGuard&) = delete;
  EpochGuard& operator=(const EpochGuard&) = delete;

 private:
  rcu_internal::Slot& slot_;
};

// Raises the epoch after a writer has unlinked something: returns the epoch that readers must have reached before it may
// be freed.
uint64_t RaiseEpoch();
// True when no reader from before `epoch` is left.
bool ReadersReached(uint64_t epoch);
// Waits until ReadersReached(epoch). Must not be called with a guard open in this thread (it would wait for itself).
void AwaitReaders(uint64_t epoch);

// One pointer. Any thread reads; writers take turns by their own means.
template <typename T>
class Rcu {
 public:
  explicit Rcu(std::unique_ptr<const T> value = nullptr) : value_(value.release()) {}
  // No reader may be left.
  ~Rcu() { delete value_.load(std::memory_order_acquire); }
  Rcu(const Rcu&) = delete;
  Rcu& operator=(const Rcu&) = delete;

  // Valid while the caller's EpochGuard is open.
  const T* Load() const { return value_.load(std::memory_order_seq_cst); }

  // Replaces the value; returns once the old one has no reader and is destroyed.
  void Publish(std::unique_ptr<const T> value) { Exchange(std::move(value)); }

  // Replaces the value and gives the old one back, which has no reader any more.
  std::unique_ptr<const T> Exchange(std::unique_ptr<const T> value) {
    std::unique_ptr<const T> old(value_.exchange(value.release(), std::memory_order_seq_cst));
    AwaitReaders(RaiseEpoch());
    return old;
  }

 private:
  std::atomic<const T*> value_;
};

// Objects that were unlinked and wait for their last reader. One writer thread.
template <typename T>
class RetireList {
 public:
  void Retire(std::unique_ptr<const T> object) { fresh_.push_back(std::move(object)); }
  // Frees what no reader can hold any more, without waiting. Call it now and then, such as once a batch of writes.
  void Reclaim() {
    if (waiting_.empty() && !fresh_.empty()) {
      waiting_.swap(fresh_);
      waiting_epoch_ = RaiseEpoch();
    }
    if (!waiting_.empty() && ReadersReached(waiting_epoch_)) {
      waiting_.clear();
    }
  }
  size_t size() const { return fresh_.size() + waiting_.size(); }

 private:
  std::vector<std::unique_ptr<const T>> fresh_;     // Unlinked since waiting_ began to wait.
  std::vector<std::unique_ptr<const T>> waiting_;
  uint64_t waiting_epoch_ = 0;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SYNC_RCU_H_
