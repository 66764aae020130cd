#include "batch_layer/kafka_range/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fakes/fake_clock.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ProgressTest, TextSaysHowMuchHowFastAndHowLong) {
  EXPECT_EQ(FormatProgress({.done = 1200, .all = 4000, .accepted = 1100}, absl::Seconds(2)),
            "1200 of 4000 offsets (30 %), 1100 events, 600 offsets/s, 5s to go");
  EXPECT_EQ(FormatProgress({.done = 0, .all = 4000}, absl::Seconds(2)), "0 of 4000 offsets (0 %), 0 events");
  EXPECT_EQ(FormatProgress({.done = 1, .all = 10'000'000}, absl::Seconds(1)),
            "1 of 10000000 offsets (0 %), 0 events, 1 offsets/s, 2777h46m39s to go");
  EXPECT_EQ(FormatProgress({.done = 4000, .all = 4000, .accepted = 4000}, absl::Seconds(2)),
            "4000 of 4000 offsets (100 %), 4000 events, 2000 offsets/s");
  EXPECT_EQ(FormatProgress({}, absl::ZeroDuration()), "0 of 0 offsets (100 %), 0 events");
}

TEST(ProgressTest, TheBarIsAsLongAsItShould) {
  EXPECT_EQ(ProgressBar({.done = 0, .all = 10}), "[--------------------]");
  EXPECT_EQ(ProgressBar({.done = 3, .all = 10}), "[######--------------]");
  EXPECT_EQ(ProgressBar({.done = 10, .all = 10}), "[####################]");
}

TEST(ProgressTest, WithoutATerminalALineEveryTenSeconds) {
  FakeClock clock;
  std::vector<std::string> lines;
  ProgressLine progress(
      nullptr, [&lines](absl::string_view line) { lines.emplace_back(line); }, clock);
  for (int second = 0; second <= 25; ++second) {
    progress.Update({.done = second, .all = 25});
    clock.Advance(absl::Seconds(1));
  }
  EXPECT_THAT(lines, ElementsAre(HasSubstr("10 of 25"), HasSubstr("20 of 25")));
}

TEST(ProgressTest, OnATerminalOneLineThatGoesInTheEnd) {
  FakeClock clock;
  std::ostringstream terminal;
  ProgressLine progress(&terminal, {}, clock);
  for (int i = 0; i < 20; ++i) {
    progress.Update({.done = i, .all = 20});
    clock.Advance(absl::Milliseconds(50));
  }
  const std::string drawn = terminal.str();
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\r'), 4);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\n'), 0);
  EXPECT_THAT(drawn, HasSubstr("history [################----] 16 of 20 offsets (80 %)"));
  progress.Update({.done = 20, .all = 20});
  EXPECT_THAT(terminal.str(), EndsWith("\r\x1b[K"));
}

TEST(ProgressTest, ALineThatIsCutShortGoesToo) {
  FakeClock clock;
  std::ostringstream terminal;
  {
    ProgressLine progress(&terminal, {}, clock);
    progress.Update({.done = 0, .all = 20});
    EXPECT_THAT(terminal.str(), IsEmpty());  // Nothing for what takes no time.
    clock.Advance(absl::Seconds(1));
    progress.Update({.done = 1, .all = 20});
  }
  EXPECT_THAT(terminal.str(), EndsWith("\r\x1b[K"));
}

}  // namespace
}  // namespace tributary::batch
