#include "common/process/scheduling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <thread>

namespace tributary {
namespace {

struct Scheduling {
  int policy = 0;
  int nice = 0;
};

Scheduling OfThisThread() { return {.policy = sched_getscheduler(0), .nice = getpriority(PRIO_PROCESS, 0)}; }

// Of a thread that said `urgency`, and of one that it started.
void Expect(Urgency urgency, int policy, int nice) {
  std::thread([=] {
    SetUrgency(urgency);
    EXPECT_EQ(OfThisThread().policy, policy);
    EXPECT_EQ(OfThisThread().nice, nice);
    std::thread([=] {
      EXPECT_EQ(OfThisThread().policy, policy);
      EXPECT_EQ(OfThisThread().nice, nice);
    }).join();
  }).join();
}

TEST(SchedulingTest, HoldsForTheThreadAndThoseThatItStarts) {
  const Scheduling before = OfThisThread();
  Expect(Urgency::kPrompt, SCHED_OTHER, before.nice);
  Expect(Urgency::kNice, SCHED_OTHER, 19);
  Expect(Urgency::kIdle, SCHED_IDLE, before.nice);
  EXPECT_EQ(OfThisThread().policy, before.policy);
  EXPECT_EQ(OfThisThread().nice, before.nice);
}

}  // namespace
}  // namespace tributary
