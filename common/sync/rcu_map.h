#ifndef TRIBUTARY_COMMON_SYNC_RCU_MAP_H_
#define TRIBUTARY_COMMON_SYNC_RCU_MAP_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "common/sync/rcu.h"

namespace tributary {

// A hash map from strings to immutable values: any number of readers, who never wait, and one writer.
//
// Shapes:  open addressing with linear probing, at most half full; it grows by copying pointers into a larger table.
// Threads: Find from any thread with an EpochGuard open; the rest from one thread at a time. The writer calls Reclaim now
//          and then to free what it replaced; without it memory only grows.
// Seen:    a reader sees each key's old or new value, never a mixture; different keys may be seen at different times.
template <typename Value>
class RcuMap {
 public:
  RcuMap() : table_(new Table(kMinSlots)) {}
  // No reader may be left.
  ~RcuMap() {
    const Table* table = table_.load(std::memory_order_acquire);
    for (const Slot& slot : table->slots) {
      const Entry* entry = slot.entry.load(std::memory_order_acquire);
      if (entry != Erased()) {
        delete entry;
      }
    }
    delete table;
  }
  RcuMap(const RcuMap&) = delete;
  RcuMap& operator=(const RcuMap&) = delete;

  // Null: no such key. Valid while the caller's EpochGuard is open.
  const Value* Find(absl::string_view key) const {
    const Entry* entry = FindEntry(key);
    return entry == nullptr ? nullptr : &entry->value;
  }

  // The writer's own look-up: needs no guard.
  const Value* FindAsWriter(absl::string_view key) const { return Find(key); }

  void Set(absl::string_view key, Value value) {
    const uint64_t hash = Hash(key);
    Table* table = table_.load(std::memory_order_relaxed);
    if (Slot* slot = FindSlot(*table, key, hash); slot != nullptr) {
      const Entry* old = slot->entry.load(std::memory_order_relaxed);
      slot->entry.store(new Entry{hash, std::string(key), std::move(value)}, std::memory_order_seq_cst);
      entries_.Retire(std::unique_ptr<const Entry>(old));
      return;
    }
    if (2 * (used_ + 1) > table->slots.size()) {
      table = Rebuild(*table);
    }
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
      Slot& slot = table->slots[i];
      if (slot.entry.load(std::memory_order_relaxed) == nullptr) {
        slot.hash.store(hash, std::memory_order_relaxed);
        slot.entry.store(new Entry{hash, std::string(key), std::move(value)}, std::memory_order_seq_cst);
        ++size_;
        ++used_;
        return;
      }
    }
  }

  // True when there was such a key.
  bool Erase(absl::string_view key) {
    Table* table = table_.load(std::memory_order_relaxed);
    Slot* slot = FindSlot(*table, key, Hash(key));
    if (slot == nullptr) {
      return false;
    }
    entries_.Retire(std::unique_ptr<const Entry>(slot->entry.load(std::memory_order_relaxed)));
    slot->entry.store(Erased(), std::memory_order_seq_cst);
    --size_;
    return true;
  }

  // Frees what was replaced and has no reader any more, without waiting.
  void Reclaim() {
    entries_.Reclaim();
    tables_.Reclaim();
  }

  // For the writer. Calls visit(key, value) for every pair, in no particular order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Slot& slot : table_.load(std::memory_order_relaxed)->slots) {
      const Entry* entry = slot.entry.load(std::memory_order_relaxed);
      if (entry != nullptr && entry != Erased()) {
        visit(absl::string_view(entry->key), entry->value);
      }
    }
  }

  // For the writer. Calls visit(key, value) for the pairs in the next `slots` slots, after the last ones in the first again:
  // a pass over the map in small pieces. A pair that moves when the table grows may be left out or come twice in a pass.
  template <typename Visit>
  void VisitNext(size_t slots, Visit visit) {
    const Table& table = *table_.load(std::memory_order_relaxed);
    for (size_t i = std::min(slots, table.slots.size()); i > 0; --i) {
      next_visited_ = (next_visited_ + 1) & table.mask;
      const Entry* entry = table.slots[next_visited_].entry.load(std::memory_order_relaxed);
      if (entry != nullptr && entry != Erased()) {
        visit(absl::string_view(entry->key), entry->value);
      }
    }
  }

  // For the writer.
  size_t size() const { return size_; }

 private:
  static constexpr size_t kMinSlots = 16;

  struct Entry {
    uint64_t hash;
    std::string key;
    Value value;
  };
  struct Slot {
    std::atomic<uint64_t> hash{0};               // Spares the probe a look at entries of other keys.
    std::atomic<const Entry*> entry{nullptr};    // Null: never used. Erased(): used once; probes go on behind it.
  };
  struct Table {
    explicit Table(size_t slot_count) : slots(slot_count), mask(slot_count - 1) {}
    std::vector<Slot> slots;                     // A power of two.
    size_t mask;
  };

  static uint64_t Hash(absl::string_view key) { return absl::Hash<absl::string_view>()(key); }

  // Marks a slot whose key was erased; never looked into.
  static const Entry* Erased() {
    static const char mark = 0;
    return reinterpret_cast<const Entry*>(&mark);
  }

  const Entry* FindEntry(absl::string_view key) const {
    const uint64_t hash = Hash(key);
    const Table& table = *table_.load(std::memory_order_seq_cst);
    for (size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
      const Slot& slot = table.slots[i];
      const Entry* entry = slot.entry.load(std::memory_order_seq_cst);
      if (entry == nullptr) {
        return nullptr;
      }
      if (slot.hash.load(std::memory_order_relaxed) == hash && entry != Erased() && entry->key == key) {
        return entry;
      }
    }
  }

  static Slot* FindSlot(Table& table, absl::string_view key, uint64_t hash) {
    for (size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
      Slot& slot = table.slots[i];
      const Entry* entry = slot.entry.load(std::memory_order_relaxed);
      if (entry == nullptr) {
        return nullptr;
      }
      if (slot.hash.load(std::memory_order_relaxed) == hash && entry != Erased() && entry->key == key) {
        return &slot;
      }
    }
  }

  // A table without erased slots, large enough for four times the keys.
  Table* Rebuild(const Table& old) {
    size_t slot_count = kMinSlots;
    while (slot_count < 4 * (size_ + 1)) {
      slot_count *= 2;
    }
    auto table = std::make_unique<Table>(slot_count);
    for (const Slot& slot : old.slots) {
      const Entry* entry = slot.entry.load(std::memory_order_relaxed);
      if (entry == nullptr || entry == Erased()) {
        continue;
      }
      size_t i = entry->hash & table->mask;
      while (table->slots[i].entry.load(std::memory_order_relaxed) != nullptr) {
        i = (i + 1) & table->mask;
      }
      table->slots[i].hash.store(entry->hash, std::memory_order_relaxed);
      table->slots[i].entry.store(entry, std::memory_order_relaxed);
    }
    used_ = size_;
    Table* published = table.release();
    table_.store(published, std::memory_order_seq_cst);
    tables_.Retire(std::unique_ptr<const Table>(&old));
    return published;
  }

  std::atomic<Table*> table_;
  size_t size_ = 0;    // Keys.
  size_t used_ = 0;    // Slots that are not null.
  size_t next_visited_ = 0;
  RetireList<Entry> entries_;
  RetireList<Table> tables_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SYNC_RCU_MAP_H_
