#include "common/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(MetricsTest, TheSameNameAndLabelsGiveTheSameMetric) {
  MetricsRegistry registry;
  Counter& one = registry.AddCounter("tributary_test_events_total", "Events.", {{"cause", "a"}});
  Counter& same = registry.AddCounter("tributary_test_events_total", "Events.", {{"cause", "a"}});
  Counter& other = registry.AddCounter("tributary_test_events_total", "Events.", {{"cause", "b"}});
  one.Increment();
  same.Increment(2);
  EXPECT_EQ(one.value(), 3);
  EXPECT_EQ(other.value(), 0);
}

TEST(MetricsTest, TextHoldsEveryKind) {
  MetricsRegistry registry;
  registry.AddCounter("tributary_test_events_total", "Events.").Increment(4);
  registry.AddGauge("tributary_test_lag_seconds", "Lag.", {{"partition", "3"}}).Set(1.5);
  registry.AddHistogram("tributary_test_latency_seconds", "Latency.", {0.1, 1}).Observe(0.5);
  const std::string text = registry.Text();
  EXPECT_THAT(text, HasSubstr("tributary_test_events_total 4"));
  EXPECT_THAT(text, HasSubstr("tributary_test_lag_seconds{partition=\"3\"} 1.5"));
  EXPECT_THAT(text, HasSubstr("tributary_test_latency_seconds_bucket{le=\"1\"} 1"));
}

TEST(MetricsTest, AnAddressThatCannotBeBoundIsNamed) {
  MetricsRegistry registry;
  const absl::Status status = registry.Serve("192.0.2.1:1");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("192.0.2.1:1"));
}

}  // namespace
}  // namespace tributary
