// The program `simulation`: runs seeds, and shows the shortest run that fails as the first that failed does.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <optional>
#include <random>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/run_in_child.h"
#include "tests/simulation/shrink.h"

namespace tributary::simulation {
namespace {

struct Flags {
  std::optional<uint64_t> seed;
  uint64_t first_seed = 0;  // 0: drawn.
  int64_t seeds = 20;
  double minutes = 0;  // 0: no limit.
  double shrink_seconds = 60;
  bool verbose = false;
};

void Print(uint64_t seed, const Tally& tally) {
  std::cout << "seed " << seed << ": events " << tally.events << ", faults " << tally.faults << ", snapshots "
            << tally.batches << ", swaps " << tally.swaps << ", rollbacks " << tally.rollbacks << ", answers "
            << tally.answers << ", quiet points " << tally.quiet_points << std::endl;
}

void Explain(uint64_t seed, Outcome outcome, const Flags& flags) {
  std::cout << "FAILED seed=" << seed << " check=" << outcome.check << "\n  " << outcome.detail
            << "\n  again: tests/simulation/run --seed " << seed << std::endl;
  if (outcome.check == "tally" || flags.shrink_seconds <= 0) return;
  std::vector<Step> steps = Shrink(MakePlan(seed), &outcome, absl::Seconds(flags.shrink_seconds), &RunInChild);
  std::cout << "the shortest run that fails so, " << steps.size() << " steps:\n";
  for (size_t i = 0; i < steps.size(); ++i) std::cout << absl::StrCat("  ", i + 1, ". ", Describe(steps[i]), "\n");
  std::cout << "  " << outcome.detail << std::endl;
}

int Run(Flags flags) {
  if (flags.seed) {
    flags.first_seed = *flags.seed;
    flags.seeds = 1;
  } else if (flags.first_seed == 0) {
    flags.first_seed = std::random_device()();
  }
  const absl::Time begin = absl::Now();
  Tally sum;
  Tally least{.events = INT64_MAX, .faults = INT64_MAX, .batches = INT64_MAX, .swaps = INT64_MAX,
              .rollbacks = INT64_MAX, .answers = INT64_MAX, .quiet_points = INT64_MAX};
  int64_t done = 0;
  std::cout << "first seed " << flags.first_seed << std::endl;
  for (; done < flags.seeds; ++done) {
    if (flags.minutes > 0 && absl::Now() - begin > absl::Minutes(flags.minutes)) break;
    const uint64_t seed = flags.first_seed + static_cast<uint64_t>(done);
    const Outcome outcome = RunSeed(seed);
    if (flags.verbose || flags.seed) Print(seed, outcome.tally);
    if (!outcome.ok()) {
      std::cout << "seeds that passed before: " << done << "\n";
      Explain(seed, outcome, flags);
      return 1;
    }
    for (int64_t Tally::*count : {&Tally::events, &Tally::faults, &Tally::batches, &Tally::swaps, &Tally::rollbacks,
                                  &Tally::answers, &Tally::quiet_points}) {
      sum.*count += outcome.tally.*count;
      least.*count = std::min(least.*count, outcome.tally.*count);
    }
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  std::cout << absl::StrCat("passed: ", done, " seeds from ", flags.first_seed, " in ", seconds, " s, ",
                            static_cast<int64_t>(3600 * static_cast<double>(done) / seconds),
                            " an hour\n  in all: events ", sum.events, ", faults ", sum.faults, ", snapshots ",
                            sum.batches, ", swaps ", sum.swaps, ", rollbacks ", sum.rollbacks, ", answers checked ",
                            sum.answers, ", quiet points ", sum.quiet_points, "\n  the least of one seed: events ",
                            least.events, ", faults ", least.faults, ", swaps ", least.swaps, ", rollbacks ",
                            least.rollbacks)
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace tributary::simulation

int main(int argc, char** argv) {
  tributary::simulation::FixAddresses(argv);
  CLI::App app("Runs the three layers in a simulated world, from seeds, against the plain reference.", "simulation");
  tributary::simulation::Flags flags;
  app.add_option("--seed", flags.seed, "Run this seed alone");
  app.add_option("--first-seed", flags.first_seed, "The first seed (default: drawn, and printed)");
  app.add_option("--seeds", flags.seeds, "How many seeds, one after the other (default 20)");
  app.add_option("--minutes", flags.minutes, "Begin no seed after this time");
  app.add_option("--shrink-seconds", flags.shrink_seconds, "How long to look for a shorter run (default 60; 0: not)");
  app.add_flag("--verbose", flags.verbose, "A line a seed, and the log of the layers");
  CLI11_PARSE(app, argc, argv);
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = flags.verbose ? google::INFO : google::FATAL;
  FLAGS_v = flags.verbose && flags.seed ? 1 : 0;
  return tributary::simulation::Run(flags);
}
