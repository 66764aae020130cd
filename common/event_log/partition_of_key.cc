#include <cstdint>
#include <cstring>

#include "common/event_log/event_log.h"
#include "glog/logging.h"

namespace tributary {
namespace {

// Kafka's own variant of 32-bit MurmurHash2 (org.apache.kafka.common.utils.Utils.murmur2). No packaged library has it
// with this seed, and producers in other languages must put a key where we would.
uint32_t Murmur2(absl::string_view data) {
  constexpr uint32_t kSeed = 0x9747b28c;
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kShift = 24;
  uint32_t hash = kSeed ^ static_cast<uint32_t>(data.size());
  size_t at = 0;
  for (; at + 4 <= data.size(); at += 4) {
    uint32_t block = 0;  // Little-endian on every machine.
    for (size_t byte = 0; byte < 4; ++byte) {
      block |= static_cast<uint32_t>(static_cast<uint8_t>(data[at + byte])) << (8 * byte);
    }
    block *= kMultiplier;
    block ^= block >> kShift;
    block *= kMultiplier;
    hash *= kMultiplier;
    hash ^= block;
  }
  if (const size_t rest = data.size() - at; rest > 0) {
    for (size_t byte = 0; byte < rest; ++byte) {
      hash ^= static_cast<uint32_t>(static_cast<uint8_t>(data[at + byte])) << (8 * byte);
    }
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

}  // namespace

PartitionId PartitionOfKey(absl::string_view key, int partitions) {
  CHECK(!key.empty()) << "records without a key have no partition of their own";
  CHECK_GT(partitions, 0);
  const uint32_t positive = Murmur2(key) & 0x7fffffff;  // Kafka's Utils.toPositive.
  return PartitionId{static_cast<int32_t>(positive % static_cast<uint32_t>(partitions))};
}

}  // namespace tributary
