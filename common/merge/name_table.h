#ifndef TRIBUTARY_COMMON_MERGE_NAME_TABLE_H_
#define TRIBUTARY_COMMON_MERGE_NAME_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace tributary {

// Strings and their dense numbers, 0, 1, 2 ... in the order they were added. Numbers are for good.
//
// A copy shares everything with the original, and adding a name to it copies only the pieces that change (some
// microseconds at a million names), so that each version of a catalogue has a table of its own. What was copied from is
// history: only the latest copy may be added to.
// Threads: const members from any thread; a table that is being added to belongs to one thread, whatever others do with
//          the tables it was copied from.
class NameTable {
 public:
  NameTable();
  NameTable(const NameTable& other);
  NameTable& operator=(const NameTable& other);
  NameTable(NameTable&&) noexcept = default;
  NameTable& operator=(NameTable&&) noexcept = default;

  uint32_t size() const { return size_; }
  std::optional<uint32_t> Find(absl::string_view name) const;
  // `number` must be below size(). Valid as long as any copy of this table.
  absl::string_view Name(uint32_t number) const {
    return (*blocks_[number / kBlockNames])[number % kBlockNames];
  }
  // The number of `name`, which is added when it is new.
  uint32_t Intern(absl::string_view name);

 private:
  static constexpr uint32_t kBlockNames = 256;
  static constexpr int kShardBits = 10;
  static constexpr size_t kShards = size_t{1} << kShardBits;

  class Text;
  using Block = std::array<absl::string_view, kBlockNames>;
  using Shard = absl::flat_hash_map<absl::string_view, uint32_t>;

  static size_t ShardOf(absl::string_view name);

  std::shared_ptr<Text> text_;                      // Holds the bytes; shared by all copies.
  std::vector<std::shared_ptr<Block>> blocks_;
  std::vector<std::shared_ptr<Shard>> shards_;      // By ShardOf; null: no name yet.
  std::vector<bool> own_shards_;                    // Made by this table since it was copied: may be written to.
  uint32_t own_blocks_from_ = 0;                    // Blocks from here on are this table's own.
  uint32_t size_ = 0;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_NAME_TABLE_H_
