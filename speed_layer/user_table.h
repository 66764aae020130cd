#ifndef TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
#define TRIBUTARY_SPEED_LAYER_USER_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
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
};

// The users of one partition, in a fixed number of shards: a sweep over all of them goes shard by shard, so that it
// never holds up the stream, and needs no iterator that survives changes. Not thread-safe.
class UserTable {
 public:
  static constexpr size_t kShards = 256;

  // Room for so many users in all, so that the shards do not grow step by step.
  void Reserve(size_t users) {
    for (Shard& shard : shards_) shard.reserve(users / kShards);
  }
  // The entry of a user, made when there is none. Valid until it is erased.
  UserEntry& Get(absl::string_view user_id) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    const auto it = shard.find(user_id, hash);
    return it != shard.end() ? **it : **shard.insert(std::make_unique<UserEntry>(user_id)).first;
  }
  // Null: none.
  UserEntry* Find(absl::string_view user_id) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    const auto it = shard.find(user_id, hash);
    return it == shard.end() ? nullptr : it->get();
  }
  void Erase(absl::string_view user_id) {
    const size_t hash = Hash()(user_id);
    Shard& shard = ShardOf(hash);
    const auto it = shard.find(user_id, hash);
    if (it == shard.end()) return;
    bytes_ -= (*it)->counted_bytes;
    shard.erase(it);
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
  // Memory that the users take, the allocator's own included as far as it can be told.
  int64_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kInlineIdBytes = 15;
  static constexpr size_t kAllocationBytes = 16;  // The allocator's own, of each of up to five pieces.
  static constexpr size_t kSlotBytes = 14;        // A pointer and a byte in a table that is two thirds full.
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

  std::array<Shard, kShards> shards_;
  int64_t bytes_ = 0;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
