#include "tests/bench/process_usage.h"

#include <glog/logging.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tributary::bench {

int64_t ResidentBytes(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    int64_t kib = 0;
    if (std::sscanf(line.c_str(), "VmRSS: %ld kB", &kib) == 1) return kib * 1024;
  }
  LOG(FATAL) << "no such process: pid=" << pid;
}

}  // namespace tributary::bench
