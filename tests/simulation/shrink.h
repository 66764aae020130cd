#ifndef TRIBUTARY_TESTS_SIMULATION_SHRINK_H_
#define TRIBUTARY_TESTS_SIMULATION_SHRINK_H_

#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "tests/simulation/run_in_child.h"
#include "tests/simulation/step.h"

namespace tributary::simulation {

// Leaves out steps for as long as the same check fails: halves, quarters and so on down to single steps, again until none
// can go or the time is up. `failed` is the outcome of `steps`, and of what is left afterwards.
std::vector<Step> Shrink(std::vector<Step> steps, Outcome* failed, absl::Duration limit,
                         const std::function<Outcome(const std::vector<Step>&)>& run);

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_SHRINK_H_
