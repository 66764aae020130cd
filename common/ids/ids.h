#ifndef TRIBUTARY_COMMON_IDS_IDS_H_
#define TRIBUTARY_COMMON_IDS_IDS_H_

#include <compare>
#include <cstdint>
#include <type_traits>

namespace tributary {

// An id is not a count is not an offset: none of these converts to another by accident.
enum class PartitionId : int32_t {};   // Of `events` and the topics that share its partition numbers.
enum class Offset : int64_t {};        // In one partition.
enum class Generation : int64_t {};    // Of a snapshot; greater than 0.
enum class ItemNumber : uint32_t {};   // Dense number of an item within one snapshot (or one catalogue built on it).

// The number behind a strong id.
template <typename Id>
constexpr std::underlying_type_t<Id> Value(Id id) {
  static_assert(std::is_enum_v<Id>);
  return static_cast<std::underlying_type_t<Id>>(id);
}

// The offset that follows.
constexpr Offset Next(Offset offset) { return Offset{Value(offset) + 1}; }

inline constexpr PartitionId kImportPartition{-1};
// Offsets of imported events are import ordinal * 2^40 + line number.
inline constexpr int kImportLineBits = 40;

// Where an event lies.
struct EventPosition {
  PartitionId partition{};
  Offset offset{};
  friend auto operator<=>(const EventPosition&, const EventPosition&) = default;
};

// An item and its score in some list. The layout is that of neighbours.bin.
struct ScoredItem {
  ItemNumber item{};
  float score = 0;   // Finite, >= 0.
  friend bool operator==(const ScoredItem&, const ScoredItem&) = default;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_IDS_IDS_H_
