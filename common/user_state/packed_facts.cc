#include "common/user_state/packed_facts.h"

#include <algorithm>

#include "common/wire/wire.h"

namespace tributary {
namespace {

constexpr size_t kLongestVarint = 10;
constexpr size_t kLeastGrowth = 40;

// Steps may go either way and are mostly small. Unsigned, since what comes from outside may be at the ends of int64.
char* WriteStep(uint64_t step, char* to) { return wire::WriteVarint((step << 1) ^ (0 - (step >> 63)), to); }

size_t TextBytes(absl::string_view text) { return wire::VarintBytes(text.size()) + text.size(); }

char* WriteText(absl::string_view text, char* to) {
  to = wire::WriteVarint(text.size(), to);
  return text.copy(to, text.size()) + to;
}

}  // namespace

void PackedFacts::Append(const FactView& fact) {
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
  if (kind >= kKindFollows) end = wire::WriteVarint(kind, end);
  char amount_numbers[2 * kLongestVarint];
  char* amounts_end = amount_numbers;
  if (amounts) {
    amounts_end = WriteStep(static_cast<uint64_t>(fact.value_micros), amounts_end);
    amounts_end = WriteStep(static_cast<uint64_t>(fact.quantity_micros), amounts_end);
  }

  const size_t added = static_cast<size_t>(end - numbers) + (fact.item_id.empty() ? 0 : TextBytes(fact.item_id)) +
                       (new_session ? TextBytes(fact.session_id) : 0) +
                       static_cast<size_t>(amounts_end - amount_numbers) +
                       (fact.text.empty() ? 0 : TextBytes(fact.text));
  const size_t needed = bytes_.size() + added;
  // Doubling would leave a quarter of the memory unused. The first few facts do not come one by one either.
  if (needed > bytes_.capacity()) bytes_.reserve(needed + std::max(needed / 4, kLeastGrowth));
  bytes_.resize(needed);
  char* at = std::copy(numbers, end, bytes_.data() + needed - added);
  if (!fact.item_id.empty()) at = WriteText(fact.item_id, at);
  if (new_session) {
    at = WriteText(fact.session_id, at);
    session_size_ = static_cast<uint32_t>(fact.session_id.size());
    session_begin_ = static_cast<uint32_t>(at - bytes_.data()) - session_size_;
  }
  at = std::copy(amount_numbers, amounts_end, at);
  if (!fact.text.empty()) WriteText(fact.text, at);
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
