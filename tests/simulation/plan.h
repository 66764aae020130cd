#ifndef TRIBUTARY_TESTS_SIMULATION_PLAN_H_
#define TRIBUTARY_TESTS_SIMULATION_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/step.h"

namespace tributary::simulation {

// The size of a world.
inline constexpr int kUsers = 7;
inline constexpr int kItems = 9;
inline constexpr int kPartitions = 3;
inline constexpr int kMaxPartitions = 5;
inline constexpr int kSegmentSize = 16;
inline constexpr int kSpeedSlots = 3;
inline constexpr int kReplicas = 2;
inline constexpr int kMachines = 2 + kReplicas;  // Speed, batch, replicas: each has a clock.
inline constexpr int64_t kBegin = 1'700'000'000'000;

// What a run must have had, or it proves little.
inline constexpr int kMinEvents = 500;
inline constexpr int kMinFaults = 5;
inline constexpr int kMinSwaps = 2;
inline constexpr int kMinRollbacks = 1;

// All that happens in one run. A pure function of the seed.
std::vector<Step> MakePlan(uint64_t seed);

// The values of an import file; the same number gives the same file.
std::vector<std::string> ImportFile(int64_t file);

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_PLAN_H_
