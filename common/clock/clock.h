#ifndef TRIBUTARY_COMMON_CLOCK_CLOCK_H_
#define TRIBUTARY_COMMON_CLOCK_CLOCK_H_

#include "absl/time/time.h"

namespace tributary {

// The time of day, injected so that tests and simulations set it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's clock; lives for ever.
const Clock& SystemClock();

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_CLOCK_CLOCK_H_
