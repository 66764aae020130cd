#ifndef TRIBUTARY_COMMON_USER_STATE_PACKED_FACTS_H_
#define TRIBUTARY_COMMON_USER_STATE_PACKED_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "common/user_state/fact.h"

namespace tributary {

// Facts of one user in few bytes, oldest first: each holds what differs from the one before, some 20 bytes where a Fact
// takes 150 and more. In memory only: the layout is nobody else's business and may change.
//
// An entry: one byte of flags (the kind in the lower four bits, 15: it follows; then which texts and amounts there
// are), then as varints the steps of offset and record time from the entry before, and of the event time from the
// record time, then [kind] [item] [session, unless that of the entry before] [value, quantity] [text], texts with their
// length.
//
// Threads: not thread-safe. Views of what is inside are valid until the next change.
class PackedFacts {
 public:
  void Append(const FactView& fact);
  // Empty again, with the memory that it has.
  void Clear() {
    std::vector<char> bytes = std::move(bytes_);
    bytes.clear();
    *this = PackedFacts();
    bytes_ = std::move(bytes);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Of the last fact; of one that is there.
  Offset last_offset() const { return last_offset_; }
  FactView front() const { return Cursor(*this).Next(); }
  // Calls visit(const FactView&) for each.
  template <typename Visit>
  void ForEach(Visit visit) const {
    Cursor cursor(*this);
    for (size_t i = 0; i < size_; ++i) visit(cursor.Next());
  }
  // Keeps those that `keep(const FactView&)` says yes to; true when others went.
  template <typename Keep>
  bool KeepIf(Keep keep) {
    PackedFacts kept;
    kept.bytes_.reserve(bytes_.size());
    ForEach([&](const FactView& fact) {
      if (keep(fact)) kept.Append(fact);
    });
    if (kept.size_ == size_) return false;
    *this = std::move(kept);
    if (bytes_.capacity() > 2 * bytes_.size()) bytes_.shrink_to_fit();
    return true;
  }
  std::vector<Fact> ToVector() const;
  // Brings near where reading begins and where Append writes.
  void Prefetch() const {
    __builtin_prefetch(bytes_.data());
    __builtin_prefetch(bytes_.data() + bytes_.size(), 1);
  }
  // What it takes beside itself.
  size_t allocated_bytes() const { return bytes_.capacity(); }

 private:
  class Cursor {
   public:
    explicit Cursor(const PackedFacts& facts) : at_(facts.bytes_.data()) {}
    FactView Next();

   private:
    uint64_t Varint() {
      uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<uint8_t>(*at_++);
        value |= static_cast<uint64_t>(byte & 127) << shift;
        if (byte < 128) return value;
      }
    }
    uint64_t Step() {
      const uint64_t coded = Varint();
      return (coded >> 1) ^ (0 - (coded & 1));
    }
    absl::string_view Text() {
      const size_t size = Varint();
      const absl::string_view text(at_, size);
      at_ += size;
      return text;
    }

    const char* at_;
    uint64_t offset_ = 0;
    uint64_t record_time_ = 0;
    absl::string_view session_;
  };

  static constexpr uint8_t kKindMask = 15;
  static constexpr uint8_t kKindFollows = 15;
  static constexpr uint8_t kHasItem = 16;
  static constexpr uint8_t kHasSession = 32;  // Another than the entry before.
  static constexpr uint8_t kHasAmounts = 64;
  static constexpr uint8_t kHasText = 128;

  absl::string_view last_session() const { return {bytes_.data() + session_begin_, session_size_}; }

  std::vector<char> bytes_;
  uint32_t size_ = 0;
  uint32_t session_begin_ = 0;  // The session of the last fact, where it was written out.
  uint32_t session_size_ = 0;
  Offset last_offset_{};
  int64_t last_record_time_unix_ms_ = 0;
};

// In the header, since passes over many facts are what busy users cost.
inline FactView PackedFacts::Cursor::Next() {
  const auto flags = static_cast<uint8_t>(*at_++);
  FactView fact;
  offset_ += Step();
  record_time_ += Step();
  fact.offset = Offset{static_cast<int64_t>(offset_)};
  fact.record_time_unix_ms = static_cast<int64_t>(record_time_);
  fact.event_time_unix_ms = static_cast<int64_t>(record_time_ + Step());
  const auto kind = static_cast<uint8_t>(flags & kKindMask);
  fact.kind = static_cast<EventType>(kind == kKindFollows ? static_cast<uint32_t>(Varint()) : kind);
  if ((flags & kHasItem) != 0) fact.item_id = Text();
  if ((flags & kHasSession) != 0) session_ = Text();
  fact.session_id = session_;
  if ((flags & kHasAmounts) != 0) {
    fact.value_micros = static_cast<int64_t>(Step());
    fact.quantity_micros = static_cast<int64_t>(Step());
  }
  if ((flags & kHasText) != 0) fact.text = Text();
  return fact;
}

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_PACKED_FACTS_H_
