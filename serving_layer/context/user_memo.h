#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_USER_MEMO_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_USER_MEMO_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/ids/ids.h"
#include "common/sync/mutex.h"
#include "common/sync/rcu.h"

namespace tributary::serving {

// Lists that are dear to make, kept by user and version: a hash of all that a list is a function of besides what the
// memo belongs to. A user has one place, so that the new version takes that of the old one; of two users that want the
// same place, the later stays. User 0 is nobody: there each version has a place.
//
// Entry:   a struct with `uint64_t user`, `uint64_t version` and `std::vector<ScoredItem> list`; moves.
// Memory:  the budget, counted as it is; beyond it others leave in turn for a new one. A budget of 0 keeps nothing.
// Threads: call from any thread. Find and what it gives: with an EpochGuard open, and without ever waiting. Keep waits
//          for nobody either: while another thread frees lists, its own are not kept.
template <typename Entry>
class UserMemo {
 public:
  // Lists have about `list_length` items.
  UserMemo(int64_t memory_budget_bytes, size_t list_length)
      : memory_budget_bytes_(memory_budget_bytes), mask_(PlacesFor(memory_budget_bytes, list_length) - 1),
        places_(mask_ + 1) {}
  ~UserMemo() {
    for (const std::atomic<const Entry*>& place : places_) {
      delete place.load(std::memory_order_acquire);
    }
  }

  // Null: not kept.
  const Entry* Find(uint64_t user, uint64_t version) const {
    const Entry* const entry = places_[PlaceOf(user, version)].load(std::memory_order_seq_cst);
    return entry != nullptr && entry->user == user && entry->version == version ? entry : nullptr;
  }

  // The user's last entry, of whatever version. Null: not kept. `user` is not 0.
  const Entry* FindLast(uint64_t user) const {
    const Entry* const entry = places_[PlaceOf(user, 0)].load(std::memory_order_seq_cst);
    return entry != nullptr && entry->user == user ? entry : nullptr;
  }

  void Keep(Entry entry) {
    if (BytesOf(entry) > memory_budget_bytes_ || !mutex_.TryLock()) {
      return;
    }
    const size_t place = PlaceOf(entry.user, entry.version);
    auto kept = std::make_unique<const Entry>(std::move(entry));
    Empty(place);
    for (size_t i = 0; i < kMostToLeave && bytes() + BytesOf(*kept) > memory_budget_bytes_; ++i) {
      hand_ = (hand_ + 1) & mask_;
      Empty(hand_);
    }
    if (const int64_t bytes_now = bytes() + BytesOf(*kept); bytes_now <= memory_budget_bytes_) {
      bytes_.store(bytes_now, std::memory_order_relaxed);
      places_[place].store(kept.release(), std::memory_order_seq_cst);
    }
    retired_.Reclaim();
    mutex_.Unlock();
  }

  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr int64_t kEntryBytes = 32 + sizeof(Entry);  // Without its list, as the allocator has it.
  static constexpr size_t kMostToLeave = 64;                  // Places looked at for one new list.

  size_t PlaceOf(uint64_t user, uint64_t version) const { return (user != 0 ? user : version) & mask_; }

  void Empty(size_t place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Entry* const entry = places_[place].exchange(nullptr, std::memory_order_seq_cst);
    if (entry != nullptr) {
      bytes_.store(bytes() - BytesOf(*entry), std::memory_order_relaxed);
      retired_.Retire(std::unique_ptr<const Entry>(entry));
    }
  }

  static int64_t BytesOf(const Entry& entry) {
    return kEntryBytes + static_cast<int64_t>(entry.list.capacity() * sizeof(ScoredItem));
  }

  // As many as lists of that length fit the budget, some more: not all have their full length.
  static size_t PlacesFor(int64_t memory_budget_bytes, size_t list_length) {
    const int64_t fit = memory_budget_bytes / (kEntryBytes + static_cast<int64_t>(list_length * sizeof(ScoredItem)));
    size_t places = 1;
    while (static_cast<int64_t>(places) < fit) {
      places *= 2;
    }
    return places;
  }

  const int64_t memory_budget_bytes_;
  const size_t mask_;                              // Of places, a power of two.
  std::vector<std::atomic<const Entry*>> places_;  // Written under mutex_.
  std::atomic<int64_t> bytes_{0};                  // Likewise.
  Mutex mutex_;
  size_t hand_ ABSL_GUARDED_BY(mutex_) = 0;        // The place that was emptied last.
  RetireList<Entry> retired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_USER_MEMO_H_
