#ifndef TRIBUTARY_TESTS_FAKES_FAKE_CLOCK_H_
#define TRIBUTARY_TESTS_FAKES_FAKE_CLOCK_H_

#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/sync/mutex.h"

namespace tributary {

// A clock that stands until a test moves it. Thread-safe.
class FakeClock final : public Clock {
 public:
  // Starts at an arbitrary date that looks like one in messages.
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1'700'000'000)) : now_(now) {}

  absl::Time Now() const override {
    MutexLock lock(mutex_);
    return now_;
  }
  void Set(absl::Time now) {
    MutexLock lock(mutex_);
    now_ = now;
  }
  void Advance(absl::Duration by) {
    MutexLock lock(mutex_);
    now_ += by;
  }

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_FAKES_FAKE_CLOCK_H_
