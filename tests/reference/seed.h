#ifndef TRIBUTARY_TESTS_REFERENCE_SEED_H_
#define TRIBUTARY_TESTS_REFERENCE_SEED_H_

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace tributary::reference {

// The seed of a random test: TRIBUTARY_SEED where it is set, else `fallback`. It is printed, so that a failure can be
// run again with `TRIBUTARY_SEED=... ctest -R NAME`.
inline uint64_t TestSeed(uint64_t fallback = 1) {
  const char* given = std::getenv("TRIBUTARY_SEED");
  const uint64_t seed = given == nullptr ? fallback : std::stoull(given);
  std::cout << "TRIBUTARY_SEED=" << seed << std::endl;
  return seed;
}

}  // namespace tributary::reference

#endif  // TRIBUTARY_TESTS_REFERENCE_SEED_H_
