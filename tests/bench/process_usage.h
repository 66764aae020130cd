#ifndef TRIBUTARY_TESTS_BENCH_PROCESS_USAGE_H_
#define TRIBUTARY_TESTS_BENCH_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>

namespace tributary::bench {

// What a running process takes of memory, files that it has mapped included.
int64_t ResidentBytes(pid_t pid);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_PROCESS_USAGE_H_
