#include "common/merge/name_table.h"

#include <deque>
#include <string>

#include "absl/hash/hash.h"
#include "common/sync/mutex.h"

namespace tributary {

// Bytes of names. Elements of a deque never move, and readers look only at those that they were given views of.
class NameTable::Text {
 public:
  absl::string_view Store(absl::string_view name) {
    MutexLock lock(mutex_);
    return names_.emplace_back(name);
  }

 private:
  Mutex mutex_;
  std::deque<std::string> names_ ABSL_GUARDED_BY(mutex_);
};

NameTable::NameTable() : text_(std::make_shared<Text>()), shards_(kShards), own_shards_(kShards, false) {}

NameTable::NameTable(const NameTable& other)
    : text_(other.text_),
      blocks_(other.blocks_),
      shards_(other.shards_),
      own_shards_(kShards, false),
      own_blocks_from_(static_cast<uint32_t>(other.blocks_.size())),
      size_(other.size_) {}

NameTable& NameTable::operator=(const NameTable& other) {
  if (this != &other) {
    *this = NameTable(other);
  }
  return *this;
}

// The top bits: the shard's own map uses the lower ones.
size_t NameTable::ShardOf(absl::string_view name) {
  return static_cast<uint64_t>(absl::Hash<absl::string_view>{}(name)) >> (64 - kShardBits);
}

std::optional<uint32_t> NameTable::Find(absl::string_view name) const {
  const std::shared_ptr<Shard>& shard = shards_[ShardOf(name)];
  if (shard == nullptr) {
    return std::nullopt;
  }
  const auto found = shard->find(name);
  return found == shard->end() ? std::nullopt : std::optional<uint32_t>(found->second);
}

uint32_t NameTable::Intern(absl::string_view name) {
  if (const std::optional<uint32_t> number = Find(name)) {
    return *number;
  }
  const uint32_t number = size_++;
  const absl::string_view stored = text_->Store(name);

  const uint32_t block = number / kBlockNames;
  if (block == blocks_.size()) {
    blocks_.push_back(std::make_shared<Block>());
  } else if (block < own_blocks_from_) {
    // Only the last block has room, so it is the one that was still shared.
    blocks_[block] = std::make_shared<Block>(*blocks_[block]);
    own_blocks_from_ = block;
  }
  (*blocks_[block])[number % kBlockNames] = stored;

  const size_t shard = ShardOf(stored);
  if (!own_shards_[shard]) {
    shards_[shard] = shards_[shard] == nullptr ? std::make_shared<Shard>() : std::make_shared<Shard>(*shards_[shard]);
    own_shards_[shard] = true;
  }
  shards_[shard]->emplace(stored, number);
  return number;
}

}  // namespace tributary
