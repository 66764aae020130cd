#ifndef TRIBUTARY_TESTS_BENCH_RECOMMEND_LOAD_H_
#define TRIBUTARY_TESTS_BENCH_RECOMMEND_LOAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

// A benchmark's client that asks at a steady rate, whatever comes back.
namespace tributary::serving {

struct Load {
  std::string address;
  int users = 0;                 // Drawn uniformly, with the ids of serving_world.
  int requests_per_second = 0;
  absl::Duration warm_up;        // Asked for, and not counted.
  absl::Duration measured;
  int connections = 8;
};

struct Answered {
  absl::Time due;
  absl::Duration took;           // From when the request was due, so that waiting for its turn counts.
  int64_t generation = 0;
};

// Of the requests that were due in the measured time.
struct LoadResult {
  std::vector<Answered> answers;   // As they came.
  int64_t failed = 0;
  std::string first_failure;
};

// Recommend of 20 items. Sends and receives on two threads; returns when the last answer is there. Asks no further, and counts
// that as failed, when 100,000 answers are outstanding.
LoadResult AskSteadily(const Load& load);

// What they took.
std::vector<absl::Duration> TimesOf(const std::vector<Answered>& answers);

// Each a connection of its own.
std::vector<std::unique_ptr<v1::RecommendationService::Stub>> Connect(const std::string& address, int connections);

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_BENCH_RECOMMEND_LOAD_H_
