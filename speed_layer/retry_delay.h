#ifndef TRIBUTARY_SPEED_LAYER_RETRY_DELAY_H_
#define TRIBUTARY_SPEED_LAYER_RETRY_DELAY_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace tributary::speed {

// When to try something again that failed, and when to give up. The wait doubles from 50 ms to 2 s and is drawn from
// its upper half, so that instances that failed together do not come back together. A clock that jumps back ends a
// wait. Not thread-safe.
class RetryDelay {
 public:
  static constexpr absl::Duration kFirst = absl::Milliseconds(50);
  static constexpr absl::Duration kLongest = absl::Seconds(2);

  // `seed`: of the draws.
  RetryDelay(absl::Duration give_up_after, uint64_t seed) : give_up_after_(give_up_after), random_(seed) {}

  // After a failure at `now`; false when failures have gone on for `give_up_after`.
  bool Failed(absl::Time now) {
    if (failures_++ == 0) failing_since_ = now;
    const absl::Duration longest = std::min(kFirst * (1 << std::min(failures_ - 1, 10)), kLongest);
    failed_at_ = now;
    wait_ = longest * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
    return now - failing_since_ < give_up_after_;
  }
  void Succeeded() {
    failures_ = 0;
    wait_ = absl::ZeroDuration();
  }
  // How long to wait at `now`; zero: go on.
  absl::Duration Remaining(absl::Time now) const {
    return now < failed_at_ ? absl::ZeroDuration() : std::max(absl::ZeroDuration(), wait_ - (now - failed_at_));
  }
  int failures() const { return failures_; }

 private:
  const absl::Duration give_up_after_;
  int failures_ = 0;  // In a row.
  absl::Time failing_since_;
  absl::Time failed_at_ = absl::InfinitePast();
  absl::Duration wait_;
  std::mt19937_64 random_;
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_RETRY_DELAY_H_
