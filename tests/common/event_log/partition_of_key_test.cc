#include <string>
#include <utility>

#include "common/event_log/event_log.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

// Hashes from Apache Kafka's UtilsTest.testMurmur2, as partitions of 2^31 - 1 (toPositive leaves 31 bits), so that the
// whole hash shows. toPositive clears the sign: -973932308 becomes 1173551340.
TEST(PartitionOfKeyTest, HashesAsKafkaDoes) {
  const std::pair<std::string, int32_t> cases[] = {
      {"21", -973932308},        {"foobar", -790332482},   {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107}};
  for (const auto& [key, hash] : cases) {
    EXPECT_EQ(PartitionOfKey(key, 2147483647), PartitionId{(hash & 0x7fffffff) % 2147483647}) << key;
  }
}

TEST(PartitionOfKeyTest, StaysBelowTheNumberOfPartitions) {
  for (int partitions = 1; partitions < 20; ++partitions) {
    for (int user = 0; user < 200; ++user) {
      const int partition = Value(PartitionOfKey("user-" + std::to_string(user), partitions));
      EXPECT_GE(partition, 0);
      EXPECT_LT(partition, partitions);
    }
  }
}

}  // namespace
}  // namespace tributary
