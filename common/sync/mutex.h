#ifndef TRIBUTARY_COMMON_SYNC_MUTEX_H_
#define TRIBUTARY_COMMON_SYNC_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace tributary {

// std::mutex with the annotations that clang checks. absl::Mutex is not used: Debian's Abseil is not instrumented, and
// ThreadSanitizer reports false races with it.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Wakes threads that wait for a condition under a Mutex.
class CondVar {
 public:
  // Waits until `condition()` holds; it is called with the mutex held.
  template <typename Condition>
  void Await(Mutex& mutex, Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock, condition);
    lock.release();
  }

  // As Await, for at most `timeout`; answers whether the condition holds.
  template <typename Condition>
  bool AwaitFor(Mutex& mutex, absl::Duration timeout, Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool holds = condition_.wait_for(lock, absl::ToChronoNanoseconds(timeout), condition);
    lock.release();
    return holds;
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SYNC_MUTEX_H_
