#include "common/process/stop_signal.h"

#include <csignal>
#include <pthread.h>
#include <string>

#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

namespace tributary {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// Protobuf writes a line for every text that is not UTF-8, which any client can send. Told once a minute.
void OnProtobufLog(google::protobuf::LogLevel level, const char*, int, const std::string& message) {
  if (level == google::protobuf::LOGLEVEL_FATAL) {
    LOG(ERROR) << "protobuf: " << message;   // It ends the process itself.
    return;
  }
  LOG_EVERY_T(WARNING, 60) << "protobuf: " << message << " (told once a minute)";
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = StopSet();
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  thread_ = std::thread([this, set] {
    int signal = 0;
    while (sigwait(&set, &signal) == 0 && !closing_.load()) {
      if (!stopped()) {
        LOG(INFO) << "stopping: signal=" << signal;
      }
      Request();
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

void StopSignal::Request() {
  if (!stopped_.exchange(true, std::memory_order_acq_rel)) {
    stopped_.notify_all();
  }
}

void InitLogging(const char* program) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(program);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

}  // namespace tributary
