#include "common/process/stop_signal.h"

#include <csignal>
#include <pthread.h>

#include <glog/logging.h>

namespace tributary {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = StopSet();
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  thread_ = std::thread([this, set] {
    int signal = 0;
    while (sigwait(&set, &signal) == 0 && !closing_.load()) {
      if (!stopped_.exchange(true, std::memory_order_acq_rel)) {
        stopped_.notify_all();
        LOG(INFO) << "stopping: signal=" << signal;
      }
    }
  });
}

StopSignal::~StopSignal() {
  closing_.store(true);
  pthread_kill(thread_.native_handle(), SIGTERM);  // Only wakes the sigwait: the signal is blocked.
  thread_.join();
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void InitLogging(const char* program) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(program);
}

}  // namespace tributary
