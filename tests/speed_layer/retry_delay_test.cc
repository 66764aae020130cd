#include "speed_layer/retry_delay.h"

#include "gtest/gtest.h"

namespace tributary::speed {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(RetryDelayTest, WaitsLongerFromTheUpperHalfUpToALimit) {
  RetryDelay retry(absl::InfiniteDuration(), 1);
  EXPECT_EQ(retry.Remaining(kStart), absl::ZeroDuration());
  absl::Duration longest = RetryDelay::kFirst;
  for (int failure = 0; failure < 100; ++failure) {
    EXPECT_TRUE(retry.Failed(kStart));
    EXPECT_LE(retry.Remaining(kStart), longest);
    EXPECT_GE(retry.Remaining(kStart), longest / 2);
    longest = std::min(2 * longest, RetryDelay::kLongest);
  }
  retry.Succeeded();
  EXPECT_EQ(retry.Remaining(kStart), absl::ZeroDuration());
  retry.Failed(kStart);
  EXPECT_LE(retry.Remaining(kStart), RetryDelay::kFirst);
}

TEST(RetryDelayTest, GivesUpWhenFailuresGoOnForTheLimit) {
  RetryDelay retry(absl::Minutes(1), 1);
  EXPECT_TRUE(retry.Failed(kStart));
  EXPECT_TRUE(retry.Failed(kStart + absl::Seconds(59)));
  EXPECT_FALSE(retry.Failed(kStart + absl::Seconds(60)));
  retry.Succeeded();
  EXPECT_TRUE(retry.Failed(kStart + absl::Seconds(61)));
}

TEST(RetryDelayTest, AClockThatJumpsBackEndsTheWait) {
  RetryDelay retry(absl::Minutes(1), 1);
  retry.Failed(kStart);
  EXPECT_GT(retry.Remaining(kStart), absl::ZeroDuration());
  EXPECT_EQ(retry.Remaining(kStart - absl::Hours(1)), absl::ZeroDuration());
}

}  // namespace
}  // namespace tributary::speed
