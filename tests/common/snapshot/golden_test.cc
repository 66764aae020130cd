#include <gtest/gtest.h>

#include "common/snapshot/snapshot.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

// A snapshot of each format version that was ever written must read for good: golden/N is the sample with 40 users, of
// version N. Never write it anew; a new format version gets a directory of its own.
namespace tributary {
namespace {

constexpr int kGoldenUsers = 40;

TEST(SnapshotGoldenTest, EveryFormatVersionReads) {
  for (int version = 1; version <= kSnapshotFormatVersion; ++version) {
    const auto reader = SnapshotReader::Open(TRIBUTARY_GOLDEN_DIR, Generation{version}, SnapshotReader::Verify::kDigest,
                                             /*block_cache_bytes=*/0);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ((*reader)->manifest().format_version(), version);
    EXPECT_EQ(sample::Difference(**reader, kGoldenUsers), "") << version;
  }
}

// Those of older versions are held by Verify::kDigest above.
TEST(SnapshotGoldenTest, TheContentDigestIsDefinedForGood) {
  const TempDir temp;
  const Generation newest{kSnapshotFormatVersion};
  const auto fresh = sample::Write(temp.path(), newest, kGoldenUsers);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  const auto golden = SnapshotStore(TRIBUTARY_GOLDEN_DIR).ReadManifest(newest);
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_EQ(fresh->content_digest(), golden->content_digest());
}

}  // namespace
}  // namespace tributary
