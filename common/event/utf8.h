#ifndef TRIBUTARY_COMMON_EVENT_UTF8_H_
#define TRIBUTARY_COMMON_EVENT_UTF8_H_

#include <cstdint>
#include <cstring>

#include <google/protobuf/stubs/common.h>

#include "absl/strings/string_view.h"

namespace tributary {

// The test that the protobuf parser itself applies to strings, so that both always agree.
inline bool IsUtf8(absl::string_view text) {
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size()));
}

// True for text of printable ASCII alone, which is UTF-8 without control characters; quick.
inline bool IsPlainText(absl::string_view text) {
  // Eight bytes at once: the sum overflows into the top bit for 0x7f and more, the difference for less than 0x20.
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kTops = 0x8080808080808080;
  const char* at = text.data();
  size_t left = text.size();
  uint64_t bad = 0;
  for (; left >= sizeof(uint64_t); at += sizeof(uint64_t), left -= sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    bad |= word | (word + kOnes) | (word - kOnes * 0x20);
  }
  for (; left > 0; ++at, --left) {
    const auto byte = static_cast<uint8_t>(*at);
    if (byte < 0x20 || byte >= 0x7f) return false;
  }
  return (bad & kTops) == 0;
}

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_UTF8_H_
