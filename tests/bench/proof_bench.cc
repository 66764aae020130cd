// How fast the simulation proves, and what it finds of the bugs that were put in on purpose.
//   proof/seeds_per_hour           on one core, by the clock
//   proof/cpu_seconds_per_seed     user and system, which a busy machine changes less
//   proof/deliberate_bugs_total    patches in tests/simulation/mutants
//   proof/deliberate_bugs_found    of them; not with --smoke, it builds each
#include <sys/resource.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/bench/report.h"
#include "tests/simulation/run_in_child.h"

namespace tributary::bench {
namespace {

// Of all children that ended: each seed is one.
double ChildrenCpuSeconds() {
  rusage usage{};
  PCHECK(getrusage(RUSAGE_CHILDREN, &usage) == 0);
  return absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime));
}

void MeasureSeeds(bool smoke, Report& report) {
  const int seeds = smoke ? 3 : 100;
  const absl::Time begin = absl::Now();
  const double cpu_before = ChildrenCpuSeconds();
  for (int seed = 1; seed <= seeds; ++seed) {
    const simulation::Outcome outcome = simulation::RunSeed(static_cast<uint64_t>(seed));
    CHECK(outcome.ok()) << "seed=" << seed << " " << outcome.detail;
  }
  report.Add("seeds_per_hour", seeds / absl::ToDoubleHours(absl::Now() - begin), "seeds/h");
  report.Add("cpu_seconds_per_seed", (ChildrenCpuSeconds() - cpu_before) / seeds, "s");
}

void CountBugs(bool smoke, Report& report) {
  const std::string run = absl::StrCat("tests/simulation/mutants/run.sh ", smoke ? "--apply-only" : "", " 2>&1");
  FILE* const output = popen(run.c_str(), "r");
  CHECK(output != nullptr);
  std::string last;
  for (char line[4096]; fgets(line, sizeof(line), output) != nullptr;) {
    last = line;
    std::cerr << line;
  }
  pclose(output);
  int found = 0;
  int total = 0;
  if (smoke) {
    CHECK_EQ(std::sscanf(last.c_str(), "%d patches apply", &total), 1) << last;
  } else {
    CHECK_EQ(std::sscanf(last.c_str(), "deliberate bugs found: %d of %d", &found, &total), 2) << last;
    report.Add("deliberate_bugs_found", found, "bugs");
  }
  report.Add("deliberate_bugs_total", total, "bugs");
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::simulation::FixAddresses(argv);
  CLI::App app("Measures the simulation", "bench_proof");
  bool smoke = false;
  app.add_flag("--smoke", smoke, "Only that it runs");
  CLI11_PARSE(app, argc, argv);
  google::InitGoogleLogging(argv[0]);
  FLAGS_minloglevel = google::FATAL;
  tributary::bench::Report report("proof");
  tributary::bench::MeasureSeeds(smoke, report);
  tributary::bench::CountBugs(smoke, report);
}
