#include "tests/simulation/shrink.h"

#include <algorithm>

namespace tributary::simulation {

std::vector<Step> Shrink(std::vector<Step> steps, Outcome* failed, absl::Duration limit,
                         const std::function<Outcome(const std::vector<Step>&)>& run) {
  const absl::Time deadline = absl::Now() + limit;
  steps.resize(std::min(steps.size(), failed->steps_done));
  size_t chunk = std::max<size_t>(1, steps.size() / 2);
  while (!steps.empty() && absl::Now() < deadline) {
    bool shorter = false;
    // From the end: what came late is mostly not needed.
    for (size_t end = steps.size(); end > 0 && absl::Now() < deadline;) {
      const size_t begin = end > chunk ? end - chunk : 0;
      std::vector<Step> rest(steps.begin(), steps.begin() + static_cast<ptrdiff_t>(begin));
      rest.insert(rest.end(), steps.begin() + static_cast<ptrdiff_t>(end), steps.end());
      Outcome outcome = run(rest);
      if (outcome.check == failed->check) {
        rest.resize(std::min(rest.size(), outcome.steps_done));
        steps = std::move(rest);
        *failed = std::move(outcome);
        shorter = true;
      }
      end = std::min(begin, steps.size());
    }
    if (chunk == 1 && !shorter) break;
    chunk = std::max<size_t>(1, chunk / 2);
  }
  return steps;
}

}  // namespace tributary::simulation
