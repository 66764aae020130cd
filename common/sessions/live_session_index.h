#ifndef TRIBUTARY_COMMON_SESSIONS_LIVE_SESSION_INDEX_H_
#define TRIBUTARY_COMMON_SESSIONS_LIVE_SESSION_INDEX_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "common/sessions/session_index.h"
#include "common/sync/rcu.h"

namespace tributary {

// The sessions that a snapshot has not counted, for session neighbours (session_neighbours.h) beside the snapshot's
// own.
//
// What is in it is a function of what SetUser said last of each user, as long as the budget holds it all. Beyond it the
// oldest sessions leave, by (time, user, id), and come back no sooner than SetUser names them again; so do the oldest
// places of an item that has more than sessions_per_item. Items from number 2^26 on are in nobody's session.
// Threads: one writer; readers never wait, and keep an EpochGuard open while they look at what they were given. Each
//          session and list is one of its states, never a mixture.
class LiveSessionIndex {
 public:
  struct Options {
    int64_t memory_budget_bytes = int64_t{256} << 20;
    size_t sessions_per_item = 1500;  // The newest that an item is found by.
  };
  static constexpr uint32_t kNotStored = UINT32_MAX;

  struct Session {
    uint64_t user = 0;                // Not 0.
    uint64_t id = 0;                  // Among the user's sessions.
    int64_t time_unix_ms = 0;         // Of its latest event.
    uint32_t stored = kNotStored;     // The session of the snapshot's index that it goes on with: it stands for both.
    std::vector<uint32_t> items;      // Each once, where it was seen last, the oldest first.
    std::vector<int64_t> item_times;  // As many.
    friend bool operator==(const Session&, const Session&) = default;
  };
  // The sessions that have one item, the newest first by when they had it.
  struct Entry {
    int64_t time_unix_ms = 0;
    uint32_t slot = 0;
  };
  struct SessionsOfItem {
    std::vector<Entry> entries;
    uint32_t count = 0;  // All of them; without those whose stored session has the item.
  };

  // Beside `stored`, which it borrows.
  LiveSessionIndex(const Options& options, const SessionIndex& stored);
  // No reader may be left.
  ~LiveSessionIndex();
  LiveSessionIndex(const LiveSessionIndex&) = delete;
  LiveSessionIndex& operator=(const LiveSessionIndex&) = delete;

  // ---- For the writer ----
  // All live sessions of the user, in place of those before: with different ids and at least two items each, at most
  // SessionIndexArrays::kLongestSession.
  void SetUser(uint64_t user, std::vector<Session> sessions);
  // Frees what was replaced and has no reader any more. Now and then, such as once a batch of updates.
  void Reclaim();
  size_t size() const { return by_age_.size(); }
  int64_t bytes() const { return bytes_; }  // About.
  std::vector<Session> All() const;         // By (time, user, id).

  // ---- For readers ----
  // Sessions that stand for no stored one.
  uint32_t sessions() const { return sessions_.load(std::memory_order_relaxed); }
  uint32_t slots() const { return slot_count_.load(std::memory_order_acquire); }
  // Rises when a change is complete: what is found after reading it is all found again as long as it stays the same, but
  // for a change that is on its way.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  // Null: no session has it.
  const SessionsOfItem* SessionsOf(uint32_t item) const { return items_.Get(item); }
  // Null: gone.
  const Session* At(uint32_t slot) const { return slots_.Get(slot); }
  // Ask the memory for what SessionsOf or At looks at first.
  void PrefetchItem(uint32_t item) const { items_.Prefetch(item); }
  void PrefetchSlot(uint32_t slot) const { slots_.Prefetch(slot); }
  // A live session stands for this one of the snapshot's.
  bool Continues(uint32_t stored_session) const {
    return stored_session >= continued_from_.load(std::memory_order_relaxed) &&
           continued_[stored_session].load(std::memory_order_relaxed) > 0;
  }

 private:
  static constexpr uint32_t kNumbers = 1 << 26;  // Of items, and of slots.

  // Pointers by number, in blocks that are made when they are needed and then stay.
  template <typename T>
  class PointerTable {
   public:
    PointerTable() : blocks_(new std::atomic<Block*>[kBlocks]()) {}
    ~PointerTable() { Clear(); }
    const T* Get(uint32_t number) const {
      if (number >= kNumbers) {
        return nullptr;
      }
      const Block* block = blocks_[number / kBlockSize].load(std::memory_order_acquire);
      return block == nullptr ? nullptr : (*block)[number % kBlockSize].load(std::memory_order_seq_cst);
    }
    void Prefetch(uint32_t number) const {
      if (number < kNumbers) {
        const Block* block = blocks_[number / kBlockSize].load(std::memory_order_relaxed);
        __builtin_prefetch(block == nullptr ? nullptr : &(*block)[number % kBlockSize]);
      }
    }
    // Gives the old one back. `number` lies below kNumbers.
    std::unique_ptr<const T> Set(uint32_t number, std::unique_ptr<const T> value);

   private:
    static constexpr uint32_t kBlockSize = 1 << 12;
    static constexpr uint32_t kBlocks = kNumbers / kBlockSize;
    using Block = std::array<std::atomic<const T*>, kBlockSize>;
    void Clear();
    std::unique_ptr<std::atomic<Block*>[]> blocks_;
  };
  using Age = std::tuple<int64_t, uint64_t, uint64_t, uint32_t>;  // Time, user, id, slot.

  static Age AgeOf(const Session& session, uint32_t slot) {
    return {session.time_unix_ms, session.user, session.id, slot};
  }
  static int64_t BytesOf(const Session& session);
  // Before null: new; after null: gone.
  void Change(uint32_t slot, const Session* before, std::unique_ptr<const Session> after);
  void ChangeItem(uint32_t item, uint32_t slot, const Session* before, const Session* after, const int64_t* time);
  bool Counts(const Session& session, uint32_t item) const;
  void Continue(uint32_t stored, int by);
  void EvictBeyondBudget();
  void Erase(uint32_t slot);
  uint32_t NewSlot();

  const Options options_;
  const SessionIndex stored_;
  PointerTable<Session> slots_;
  PointerTable<SessionsOfItem> items_;
  std::atomic<uint32_t> sessions_{0};
  std::atomic<uint32_t> slot_count_{0};
  std::atomic<uint64_t> version_{0};
  std::unique_ptr<std::atomic<uint8_t>[]> continued_;  // By stored session: live ones that stand for it.
  std::atomic<uint32_t> continued_from_;               // None below.

  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> users_;  // Their slots.
  absl::btree_set<Age> by_age_;
  std::vector<uint32_t> free_slots_;
  int64_t bytes_ = 0;
  RetireList<Session> retired_sessions_;
  RetireList<SessionsOfItem> retired_items_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SESSIONS_LIVE_SESSION_INDEX_H_
