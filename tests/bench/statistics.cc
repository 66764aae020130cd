#include "tests/bench/statistics.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstddef>

namespace tributary::bench {

double Median(std::vector<double> values) {
  CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double MillisecondsWithin(std::vector<absl::Duration> samples, double share) {
  CHECK(!samples.empty());
  const auto at = samples.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return absl::ToDoubleMilliseconds(*at);
}

}  // namespace tributary::bench
