#include "common/snapshot/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace tributary::snapshot_format {
namespace {

using testing::HasSubstr;

TEST(CountKeyTest, EncodingKeepsTheOrderAndComesBack) {
  std::vector<CountKey> keys;
  for (v1::Measure measure : {v1::OVERALL, v1::BY_ITEM, v1::BY_STORE}) {
    for (const std::string& text : {std::string(), std::string("a"), std::string("a\0", 2), std::string("a\0\0", 3),
                                    std::string("a\0b", 3), std::string("a\x01"), std::string("ab"), std::string("\xff\xff"),
                                    std::string("\0", 1)}) {
      for (v1::EventType type : {v1::IMPRESSION, v1::FORGET}) {
        keys.push_back({measure, text, type});
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  std::string before;
  for (const CountKey& key : keys) {
    const auto bytes = EncodeCountKey(key);
    ASSERT_TRUE(bytes.ok());
    EXPECT_LT(before, *bytes);
    const auto decoded = DecodeCountKey(*bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, key);
    before = *bytes;
  }
}

TEST(CountKeyTest, BytesThatAreNoKeyAreRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("\x01"), std::string("\x01\0", 2), std::string("\x01" "aa\x01"), std::string("\0\0\x01", 3),
        std::string("\x01\0\0", 3), std::string("\x01\0a\0\x01", 5), std::string("\x01\0\0\x01", 4),
        std::string("\x01\0\xff", 3)}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeCountKey(bytes).status()));
  }
}

TEST(PartitionTest, SortsAsNumbers) {
  EXPECT_LT(*EncodePartition(PartitionId{2}), *EncodePartition(PartitionId{10}));
  EXPECT_LT(*EncodePartition(PartitionId{255}), *EncodePartition(PartitionId{256}));
  EXPECT_FALSE(EncodePartition(PartitionId{-1}).ok());
}

// Bytes at an address that is a multiple of 8, as a mapped file's are.
class Aligned {
 public:
  explicit Aligned(const std::string& bytes) : words_(bytes.size() / 8 + 1), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(words_.data()));
  }
  absl::string_view bytes() const { return {reinterpret_cast<const char*>(words_.data()), size_}; }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

absl::Status Parse(const std::string& bytes) {
  return ParseFlatFile(Aligned(bytes).bytes(), kNeighboursMagic, 8).status();
}

TEST(FlatFileTest, EveryDefectIsNamedWithItsOffset) {
  const std::string good = EncodeFlatPrefix(kNeighboursMagic, {0, 1, 1, 2}) + std::string(16, 'x');
  ASSERT_TRUE(Parse(good).ok());
  const auto with = [&](size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    return bad;
  };
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(Parse(good.substr(0, size)))) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(Parse(good + "x")));
  EXPECT_THAT(Parse(with(0, 'X')).message(), HasSubstr("wrong magic: offset=0"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Parse(with(8, 2))));
  EXPECT_TRUE(absl::IsDataLoss(Parse(with(8, 0))));
  EXPECT_TRUE(absl::IsDataLoss(Parse(with(12, 4))));            // Count.
  EXPECT_TRUE(absl::IsDataLoss(Parse(with(15, '\xff'))));
  EXPECT_TRUE(absl::IsDataLoss(Parse(with(16, 3))));            // Entries.
  EXPECT_TRUE(absl::IsDataLoss(Parse(with(23, '\x20'))));       // Entries * 8 overflows.
  EXPECT_THAT(Parse(with(24, 1)).message(), HasSubstr("reserved"));
  EXPECT_THAT(Parse(with(32, 1)).message(), HasSubstr("offset=32"));   // First offset is not 0.
  EXPECT_THAT(Parse(with(40, 3)).message(), HasSubstr("offset=40"));   // Beyond the entries.
  EXPECT_THAT(Parse(with(48, 0)).message(), HasSubstr("offset=48"));   // Falls.
  EXPECT_THAT(Parse(with(56, 1)).message(), HasSubstr("offset=56"));   // Not the end.
}

TEST(FactorsFileTest, EveryDefectIsNamedWithItsOffset) {
  const std::vector<float> eigenvalues = {1, 2}, values = {1, 2, 3, 4, 5, 6};
  const SnapshotFactors factors{.items = 3, .dimensions = 2, .eigenvalues = eigenvalues, .values = values};
  const auto prefix = EncodeFactorsPrefix(factors);
  ASSERT_TRUE(prefix.ok()) << prefix.status();
  ASSERT_EQ(prefix->size(), 128u);  // The factors start at a cache line.
  const std::string good = *prefix + std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  const auto parse = [](const std::string& bytes) { return ParseFactorsFile(Aligned(bytes).bytes()).status(); };
  ASSERT_TRUE(parse(good).ok()) << parse(good);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(parse(good.substr(0, size)))) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(parse(good + "x")));
  const auto with = [&](size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    return parse(bad);
  };
  EXPECT_THAT(with(0, 'X').message(), HasSubstr("wrong magic: offset=0"));
  EXPECT_TRUE(absl::IsFailedPrecondition(with(8, 2)));
  EXPECT_TRUE(absl::IsDataLoss(with(12, 4)));  // Items.
  EXPECT_TRUE(absl::IsDataLoss(with(15, '\xff')));
  EXPECT_THAT(with(16, 0).message(), HasSubstr("offset=16"));  // Dimensions.
  EXPECT_THAT(with(23, '\x40').message(), HasSubstr("offset=16"));
  EXPECT_THAT(with(24, 1).message(), HasSubstr("reserved"));
  EXPECT_THAT(with(35, '\xff').message(), HasSubstr("offset=32"));  // The unobserved weight is below 0.
}

TEST(SessionsFileTest, NothingButWhatWasWrittenIsRead) {
  const SessionIndexArrays arrays = SessionIndexArrays::Build({{1, {0, 2, 1}}, {2, {1, 3}}}, 5, 10);
  const std::string good = EncodeSessions(arrays.index());
  const auto parse = [](const std::string& bytes) { return ParseSessionsFile(Aligned(bytes).bytes()).status(); };
  ASSERT_TRUE(parse(good).ok()) << parse(good);
  EXPECT_TRUE(parse(EncodeSessions(SessionIndexArrays::Build({}, 0, 1).index())).ok());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(parse(good.substr(0, size)))) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(parse(good + std::string(8, '\0'))));
  // Any byte of the numbers that leads out of an array; times and counts may be anything.
  const size_t offsets = 48, times = offsets + 3 * 8, item_offsets = times + 2 * 8, numbers = item_offsets + 6 * 8;
  for (size_t at = 0; at < numbers + 12 * 4; ++at) {
    if (at >= times && at < item_offsets) {
      continue;
    }
    std::string bad = good;
    bad[at] = '\x7f';
    EXPECT_FALSE(parse(bad).ok()) << at;
  }
}

}  // namespace
}  // namespace tributary::snapshot_format
