#include <gtest/gtest.h>

#include "common/snapshot/snapshot.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

// A snapshot of each format version that was ever written must read for good: golden/1 and golden/2 are the sample with
// 40 users, of the version of their number. Never write it anew; a new format version gets a directory of its own.
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

TEST(SnapshotGoldenTest, TheContentDigestIsDefinedForGood) {
  const TempDir temp;
  for (int version = 1; version <= kSnapshotFormatVersion; ++version) {
    const auto fresh = sample::Write(temp.path(), Generation{version}, kGoldenUsers, kSnapshotFileBytes,
                                     /*with_version_2=*/version > 1);
    ASSERT_TRUE(fresh.ok()) << fresh.status();
    const auto golden = SnapshotStore(TRIBUTARY_GOLDEN_DIR).ReadManifest(Generation{version});
    ASSERT_TRUE(golden.ok()) << golden.status();
    EXPECT_EQ(fresh->content_digest(), golden->content_digest()) << version;
  }
}

}  // namespace
}  // namespace tributary
