#ifndef TRIBUTARY_COMMON_PROCESS_STOP_SIGNAL_H_
#define TRIBUTARY_COMMON_PROCESS_STOP_SIGNAL_H_

#include <atomic>
#include <thread>

namespace tributary {

// SIGTERM and SIGINT as a value that loops look at. Construct it first thing in main, before any thread starts: it
// blocks the two signals in this thread, which every later thread inherits, and takes them in a thread of its own, so
// that no code of ours runs in a signal handler. One at a time in a process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // True from the first signal or Request on. Thread-safe.
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  // As a signal: for a part of the program that cannot go on. Thread-safe.
  void Request();
  // Waits for the first signal or Request.
  void Wait() const { stopped_.wait(false, std::memory_order_acquire); }

 private:
  std::atomic<bool> stopped_{false};
  std::atomic<bool> closing_{false};
  std::thread thread_;
};

// Logs to stderr, one line a message, those of protobuf at most once a minute; call once at the start of main.
void InitLogging(const char* program);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_PROCESS_STOP_SIGNAL_H_
