#ifndef TRIBUTARY_TESTS_SIMULATION_RUN_IN_CHILD_H_
#define TRIBUTARY_TESTS_SIMULATION_RUN_IN_CHILD_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/simulation/step.h"
#include "tests/simulation/world.h"

namespace tributary::simulation {

struct Outcome {
  std::string check;    // That failed; empty: none. "crash": the process ended by a signal or with an error.
  std::string detail;
  Tally tally;
  size_t steps_done = 0;
  bool ok() const { return check.empty(); }
};

// Runs the steps in a new world and a process of its own, in a directory of memory (/dev/shm) if there is one, so that a
// crash is an outcome like others and every run starts from the same memory.
Outcome RunInChild(const std::vector<Step>& steps);

// The seed's plan. A run that had less than a run must have had fails the check "tally".
Outcome RunSeed(uint64_t seed);

// From here on the program has the same addresses in every run: hash tables that are ordered by them too are the same.
// Starts the program anew if need be.
void FixAddresses(char** argv);

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_RUN_IN_CHILD_H_
