#include "common/event/user_digest.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace tributary {
namespace {

// FIPS 180-2, appendix B. Digests are stored: they are the same for good.
TEST(UserDigestTest, IsTheBeginningOfTheSha256) {
  EXPECT_EQ(absl::BytesToHexString(UserDigest("abc")), "ba7816bf8f01cfea414140de5dae2223");
  EXPECT_EQ(absl::BytesToHexString(UserDigest("")), "e3b0c44298fc1c149afbf4c8996fb924");
  EXPECT_EQ(UserDigest("abc").size(), kUserDigestBytes);
}

}  // namespace
}  // namespace tributary
