#include <gtest/gtest.h>

#include "common/snapshot/snapshot.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

// A snapshot of each format version that was ever written must read for good: golden/1 is the sample with 40 users.
// Never write it anew; a new format version gets a directory of its own.
namespace tributary {
namespace {

constexpr int kGoldenUsers = 40;

TEST(SnapshotGoldenTest, FormatVersion1Reads) {
  const auto reader =
      SnapshotReader::Open(TRIBUTARY_GOLDEN_DIR, Generation{1}, SnapshotReader::Verify::kDigest, /*block_cache_bytes=*/0);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(sample::Difference(**reader, kGoldenUsers), "");
  EXPECT_EQ((*reader)->manifest().format_version(), 1);
}

TEST(SnapshotGoldenTest, TheContentDigestIsDefinedForGood) {
  const TempDir temp;
  const auto fresh = sample::Write(temp.path(), Generation{1}, kGoldenUsers);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  const auto golden = SnapshotStore(TRIBUTARY_GOLDEN_DIR).ReadManifest(Generation{1});
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_EQ(fresh->content_digest(), golden->content_digest());
}

}  // namespace
}  // namespace tributary
