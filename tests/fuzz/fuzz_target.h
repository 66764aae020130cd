#ifndef TRIBUTARY_TESTS_FUZZ_FUZZ_TARGET_H_
#define TRIBUTARY_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// What a fuzz target defines. It ends the process (CHECK) when an invariant does not hold.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace tributary::fuzz {

// Inputs to start from: good ones, of every shape that the decoder knows.
std::vector<std::string> FuzzSeeds();

}  // namespace tributary::fuzz

#endif  // TRIBUTARY_TESTS_FUZZ_FUZZ_TARGET_H_
