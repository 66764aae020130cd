#ifndef TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
#define TRIBUTARY_SPEED_LAYER_USER_TABLE_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "common/user_state/live_user.h"

namespace tributary::speed {

// A user's state on one partition, and what `speed-views` knows of it.
struct UserEntry {
  LiveUser user;
  bool published = false;  // There is a view (not a tombstone) in `speed-views`.
  bool changed = false;    // Differs from what was written last.
};

// The users of one partition, in a fixed number of shards: a sweep over all of them goes shard by shard, so that it
// never holds up the stream, and needs no iterator that survives changes. Not thread-safe.
class UserTable {
 public:
  static constexpr size_t kShards = 256;
  using Shard = absl::flat_hash_map<std::string, UserEntry>;

  // The entry of a user, made when there is none. Valid until the next Get or Erase.
  UserEntry& Get(const std::string& user_id) { return ShardOf(user_id)[user_id]; }
  // Null: none. Valid until the next Get or Erase.
  UserEntry* Find(const std::string& user_id) {
    Shard& shard = ShardOf(user_id);
    const auto it = shard.find(user_id);
    return it == shard.end() ? nullptr : &it->second;
  }
  void Erase(const std::string& user_id) { ShardOf(user_id).erase(user_id); }

  Shard& shard(size_t index) { return shards_[index]; }
  size_t size() const {
    size_t users = 0;
    for (const Shard& shard : shards_) users += shard.size();
    return users;
  }

 private:
  Shard& ShardOf(absl::string_view user_id) {
    // The upper bits: the tables inside the shards use the lower ones.
    return shards_[(absl::Hash<absl::string_view>{}(user_id) >> 48) % kShards];
  }

  std::array<Shard, kShards> shards_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_USER_TABLE_H_
