#ifndef TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
#define TRIBUTARY_SPEED_LAYER_USER_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/local_store/local_store.h"
#include "common/user_state/live_user.h"

namespace tributary::speed {

// A user's state on one partition, and what `speed-views` knows of it.
struct UserEntry {
  explicit UserEntry(absl::string_view id) : user_id(id) {}

  const std::string user_id;
  LiveUser user;
  uint32_t counted_bytes = 0;  // What UserTable has counted for it.
  bool published = false;      // There is a view (not a tombstone) in `speed-views`.
  bool changed = false;        // Differs from what was written last.
  bool used = true;            // Since the hand of Spill passed.
};

// The users of one partition, in a fixed number of shards: a sweep over all of them goes shard by shard, so that it
// never holds up the stream, and needs no iterator that survives changes. Not thread-safe.
//
// With a LocalStore those that are idle longest can be moved there (Spill), and come back when they are asked for. Which
// ones are there is known in memory, in 18 bytes each: a number that the copy carries too, so that an older copy is
// never taken for the user, and the store need not be kept clean.
class UserTable {
 public:
  static constexpr size_t kShards = 256;

  // `store` is borrowed and must outlive this; null: all users stay in memory.
  explicit UserTable(LocalStore* store);
  UserTable() : UserTable(nullptr) {}
  ~UserTable();
  UserTable(UserTable&&) noexcept;
  UserTable& operator=(UserTable&&) noexcept;

  // Room for so many users in all, so that the shards do not grow step by step.
  void Reserve(size_t users) {
    for (Shard& shard : shards_) shard.reserve(users / kShards);
  }
  // The entry of a user, from wherever it is, made when there is none. Valid until it is erased or spilled. `*loaded`: it
  // was brought back. Fails when the store does.
  absl::StatusOr<UserEntry*> Load(absl::string_view user_id, bool* loaded) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    *loaded = false;
    if (const auto it = shard.find(user_id, hash); it != shard.end()) {
      (*it)->used = true;
      return it->get();
    }
    if (spilled_users() > 0) return LoadSpilled(user_id, loaded);
    return shard.insert(std::make_unique<UserEntry>(user_id)).first->get();
  }
  // Brings those of the users back that are on disk, at once, which costs less than one by one.
  absl::Status LoadAhead(absl::Span<const absl::string_view> user_ids, absl::FunctionRef<void(UserEntry&)> loaded);
  // Moves users to the store until some `bytes` less are in memory, or none is left that may go: those that have not been
  // used since the hand passed last, are as they were written last, and have been written. How many went. When it fails
  // nobody went whom it could not write: they stay in memory.
  absl::StatusOr<int64_t> Spill(int64_t bytes);
  // Goes over some of the users in the store, from where the last call ended or, with `from_the_beginning`, from there:
  // brings those back of whom changes(LiveUser&) says so, with what it has made of them. False when all are done.
  absl::StatusOr<bool> VisitSpilled(bool from_the_beginning, absl::FunctionRef<bool(LiveUser&)> changes,
                                    absl::FunctionRef<void(UserEntry&)> loaded);
  size_t spilled_users() const;

  // In memory; null: none there.
  UserEntry* Find(absl::string_view user_id) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    const auto it = shard.find(user_id, hash);
    return it == shard.end() ? nullptr : it->get();
  }
  // One that is in memory.
  void Erase(absl::string_view user_id) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    const auto it = shard.find(user_id, hash);
    if (it == shard.end()) return;
    bytes_ -= (*it)->counted_bytes;
    shard.erase(it);
  }
  // Frees about so many of those in memory, shard by shard; false when that were the last. Nothing else may be called any
  // more.
  bool DropSome(size_t users) {
    for (size_t dropped = 0; dropped < users && dropped_shards_ < kShards; ++dropped_shards_) {
      dropped += shards_[dropped_shards_].size();
      shards_[dropped_shards_] = Shard();
    }
    return dropped_shards_ < kShards;
  }
  // Bring near what Get of this user will need: first where the entry is found, some calls later the entry itself. With
  // a million users each event is a handful of cache misses, which otherwise come one after the other.
  void PrefetchSlot(absl::string_view user_id) const { shards_[ShardIndex(Hash()(user_id))].prefetch(user_id); }
  void PrefetchEntry(absl::string_view user_id) {
    if (const UserEntry* entry = Find(user_id)) entry->user.Prefetch();
  }
  // The same of an entry that is at hand.
  static void PrefetchEntry(const UserEntry* entry) {
    constexpr size_t kCacheLine = 64;
    for (size_t at = 0; at < sizeof(UserEntry); at += kCacheLine) {
      __builtin_prefetch(reinterpret_cast<const char*>(entry) + at);
    }
  }
  // Calls visit(UserEntry&) for each of one shard; it must not add or erase.
  template <typename Visit>
  void VisitShard(size_t index, Visit visit) {
    for (const std::unique_ptr<UserEntry>& entry : shards_[index]) visit(*entry);
  }
  size_t shard_size(size_t index) const { return shards_[index].size(); }
  // In memory.
  size_t size() const {
    size_t users = 0;
    for (const Shard& shard : shards_) users += shard.size();
    return users;
  }

  // Counts what the entry takes now; call when it may have changed.
  void Count(UserEntry& entry) {
    const size_t id_bytes = entry.user_id.capacity() > kInlineIdBytes ? entry.user_id.capacity() : 0;
    const auto bytes = static_cast<uint32_t>(kEntryBytes + id_bytes + entry.user.allocated_bytes());
    bytes_ += static_cast<int64_t>(bytes) - entry.counted_bytes;
    entry.counted_bytes = bytes;
  }
  // Memory that the users in memory take, the allocator's own included as far as it can be told.
  int64_t bytes() const { return bytes_; }
  // Memory that knowing the others takes.
  int64_t spilled_bytes() const { return static_cast<int64_t>(spilled_users() * kSpilledBytes); }

 private:
  static constexpr size_t kInlineIdBytes = 15;
  static constexpr size_t kAllocationBytes = 16;  // The allocator's own, of each of up to five pieces.
  static constexpr size_t kSlotBytes = 14;        // A pointer and a byte in a table that is two thirds full.
  static constexpr size_t kSpilledBytes = 18;     // Two words and a byte, the table two thirds full or more.
  static constexpr size_t kEntryBytes = sizeof(UserEntry) + 4 * kAllocationBytes + kSlotBytes;

  struct Hash {
    using is_transparent = void;
    size_t operator()(absl::string_view user_id) const { return absl::Hash<absl::string_view>()(user_id); }
    size_t operator()(const std::unique_ptr<UserEntry>& entry) const { return (*this)(entry->user_id); }
  };
  struct Equal {
    using is_transparent = void;
    static absl::string_view IdOf(absl::string_view user_id) { return user_id; }
    static absl::string_view IdOf(const std::unique_ptr<UserEntry>& entry) { return entry->user_id; }
    bool operator()(const auto& a, const auto& b) const { return IdOf(a) == IdOf(b); }
  };
  using Shard = absl::flat_hash_set<std::unique_ptr<UserEntry>, Hash, Equal>;

  // The upper bits: the tables inside the shards use the lower ones.
  static size_t ShardIndex(size_t hash) { return (hash >> 48) % kShards; }
  Shard& ShardOf(size_t hash) { return shards_[ShardIndex(hash)]; }

  absl::StatusOr<UserEntry*> LoadSpilled(absl::string_view user_id, bool* loaded);
  UserEntry& Insert(absl::string_view user_id, LiveUser user);

  std::array<Shard, kShards> shards_;
  int64_t bytes_ = 0;
  size_t hand_ = 0;  // The shard that Spill looks at next.
  size_t dropped_shards_ = 0;
  struct Spilled;
  std::unique_ptr<Spilled> spilled_;  // Null without a store.
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
