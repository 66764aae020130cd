#include "common/user_state/packed_facts.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr size_t kLongestVarint = 10;
constexpr size_t kLeastGrowth = 40;
constexpr size_t kUsualBesideTexts = 16;  // Bytes of an entry.

char* WriteVarint(uint64_t value, char* to) {
  while (value >= 128) {
    *to++ = static_cast<char>(value | 128);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

// Steps may go either way and are mostly small. Unsigned, since what comes from outside may be at the ends of int64.
char* WriteStep(uint64_t step, char* to) { return WriteVarint((step << 1) ^ (0 - (step >> 63)), to); }

}  // namespace

void PackedFacts::AppendText(absl::string_view text) {
  char size[kLongestVarint];
  bytes_.insert(bytes_.end(), size, WriteVarint(text.size(), size));
  bytes_.insert(bytes_.end(), text.begin(), text.end());
}

void PackedFacts::Append(const FactView& fact) {
  // Doubling would leave a quarter of the memory unused. The first few facts do not come one by one either.
  const size_t needed =
      bytes_.size() + kUsualBesideTexts + fact.item_id.size() + fact.session_id.size() + fact.text.size();
  if (needed > bytes_.capacity()) bytes_.reserve(needed + std::max(needed / 4, kLeastGrowth));
  const auto kind = static_cast<uint32_t>(fact.kind);
  const bool new_session = fact.session_id != last_session();
  const bool amounts = fact.value_micros != 0 || fact.quantity_micros != 0;
  const auto record_time = static_cast<uint64_t>(fact.record_time_unix_ms);
  char numbers[1 + 4 * kLongestVarint];
  char* end = numbers;
  *end++ = static_cast<char>((kind < kKindFollows ? kind : kKindFollows) | (fact.item_id.empty() ? 0 : kHasItem) |
                             (new_session ? kHasSession : 0) | (amounts ? kHasAmounts : 0) |
                             (fact.text.empty() ? 0 : kHasText));
  end = WriteStep(static_cast<uint64_t>(Value(fact.offset)) - static_cast<uint64_t>(Value(last_offset_)), end);
  end = WriteStep(record_time - static_cast<uint64_t>(last_record_time_unix_ms_), end);
  end = WriteStep(static_cast<uint64_t>(fact.event_time_unix_ms) - record_time, end);
  if (kind >= kKindFollows) end = WriteVarint(kind, end);
  bytes_.insert(bytes_.end(), numbers, end);
  if (!fact.item_id.empty()) AppendText(fact.item_id);
  if (new_session) {
    AppendText(fact.session_id);
    session_size_ = static_cast<uint32_t>(fact.session_id.size());
    session_begin_ = static_cast<uint32_t>(bytes_.size()) - session_size_;
  }
  if (amounts) {
    end = WriteStep(static_cast<uint64_t>(fact.value_micros), numbers);
    end = WriteStep(static_cast<uint64_t>(fact.quantity_micros), end);
    bytes_.insert(bytes_.end(), numbers, end);
  }
  if (!fact.text.empty()) AppendText(fact.text);
  ++size_;
  last_offset_ = fact.offset;
  last_record_time_unix_ms_ = fact.record_time_unix_ms;
}

std::vector<Fact> PackedFacts::ToVector() const {
  std::vector<Fact> facts;
  facts.reserve(size_);
  ForEach([&facts](const FactView& fact) { facts.push_back(FactOf(fact)); });
  return facts;
}

}  // namespace tributary
