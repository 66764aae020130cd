#include "common/process/stop_signal.h"

#include <csignal>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(StopSignalTest, EitherSignalStopsAndNothingElseDoes) {
  for (const int signal : {SIGTERM, SIGINT}) {
    StopSignal stop;
    EXPECT_FALSE(stop.stopped());
    kill(getpid(), signal);
    stop.Wait();
    EXPECT_TRUE(stop.stopped());
  }
}

TEST(StopSignalTest, ARequestStopsLikeASignal) {
  StopSignal stop;
  std::thread part([&] { stop.Request(); });
  stop.Wait();
  EXPECT_TRUE(stop.stopped());
  part.join();
}

TEST(StopSignalTest, GoesWithoutASignal) {
  StopSignal stop;
  EXPECT_FALSE(stop.stopped());
}

}  // namespace
}  // namespace tributary
