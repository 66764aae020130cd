#ifndef TRIBUTARY_TESTS_REFERENCE_RANDOM_LOG_H_
#define TRIBUTARY_TESTS_REFERENCE_RANDOM_LOG_H_

#include <cstdint>
#include <vector>

#include "tests/reference/reference.h"

namespace tributary::reference {

struct RandomLogOptions {
  uint64_t seed = 0;
  int32_t partitions = 3;
  int records = 500;
  int imported = 40;
};

// A random log with all that goes wrong in real ones: records that are no events, repeats inside and outside the
// window, late, early and unordered events, broker times that step back and leap, users on several partitions, forgets,
// JSON among binary, offsets that transaction markers took. Imports come first, then the partitions mixed as time
// passes.
std::vector<RawRecord> MakeRandomLog(const RandomLogOptions& options);

}  // namespace tributary::reference

#endif  // TRIBUTARY_TESTS_REFERENCE_RANDOM_LOG_H_
