#ifndef TRIBUTARY_TESTS_BENCH_STATISTICS_H_
#define TRIBUTARY_TESTS_BENCH_STATISTICS_H_

#include <vector>

#include "absl/time/time.h"

namespace tributary::bench {

// Of an even number the greater of the two in the middle. At least one value.
double Median(std::vector<double> values);

// The time within which `share` of the samples lie, in milliseconds. At least one.
double MillisecondsWithin(std::vector<absl::Duration> samples, double share);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_STATISTICS_H_
