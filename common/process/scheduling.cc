#include "common/process/scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "glog/logging.h"

namespace tributary {
namespace {

// For how long a thread that has begun keeps the core although others wake up, and the shorter the sooner it gets it.
constexpr uint64_t kSliceNs = 100'000;
constexpr int kLowestPriority = 19;

}  // namespace

void SetUrgency(Urgency urgency) {
  // As sched_setattr(2) has it: Debian 12's C library does not, and the kernel's header clashes with it.
  struct {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime, sched_deadline, sched_period;
  } attributes{};
  attributes.size = sizeof(attributes);
  attributes.sched_policy = urgency == Urgency::kIdle ? SCHED_IDLE : SCHED_OTHER;
  attributes.sched_nice = urgency == Urgency::kNice ? kLowestPriority : getpriority(PRIO_PROCESS, 0);
  attributes.sched_runtime = kSliceNs;
  PLOG_IF(WARNING, syscall(SYS_sched_setattr, /*pid: this thread*/ 0, &attributes, 0) != 0)
      << "a thread keeps its priority";
}

}  // namespace tributary
