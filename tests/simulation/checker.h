#ifndef TRIBUTARY_TESTS_SIMULATION_CHECKER_H_
#define TRIBUTARY_TESTS_SIMULATION_CHECKER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/simulation/replica.h"
#include "tests/simulation/truth.h"
#include "tributary/v1/config.pb.h"

// What must hold of a serving replica, whatever happened. A check that fails is Internal, and its message begins with the
// check's name and a colon.
namespace tributary::simulation {

absl::Status Failed(absl::string_view check, absl::string_view what);
// The name in the message.
std::string CheckOf(const absl::Status& failure);

class Checker {
 public:
  Checker(const Truth& truth, const v1::Config& config) : truth_(truth), config_(config) {}

  // After each round of a replica:
  //   offsets     no applied offset fell while the process lives
  //   segments    counts go only when all that they count lies below the floor
  //   activated   what is served was activated some time
  absl::Status CheckReplica(int number, const Replica& replica);

  // At any time, of one user. Let W be the snapshot's watermark and A the offset up to which the user's partition is
  // applied, by the user's view or by the progress that the answer names:
  //   floor       there is an answer just when no W lies below its floor
  //   facts       what is live says of the user what the log says from the floor to A, no more and no less
  //   decisions   snapshot and live facts come to the decisions of the log up to the greater of W and A
  //   suppressed  nothing bought within the suppression, disliked, hidden or not to be had is in the answer
  //   answer      the answer is that of Merge over the reference's state with the snapshot's lists
  //   freshness   the answer names generation, W and applied offsets as they are
  absl::Status CheckAnswer(const Replica& replica, const std::string& user, int64_t variant) const;

  // At any time, of all counters:
  //   totals      they are those of the log up to W, and from there of each segment up to its applied offset
  // `at_rest`: the counts are complete, so the totals are those of the whole log.
  absl::Status CheckTotals(const Replica& replica, bool at_rest = false) const;

  // At rest, of the whole log (tests/simulation/live_counts_check.cc):
  //   popular     the lists of popular items are the snapshot's with the events from W on, by the measure of the batch layer
  //   windows     they are those of the live segments; what is called complete lacks nothing that was not dated ahead
  absl::Status CheckPopular(const Replica& replica) const;
  absl::Status CheckWindows(const Replica& replica) const;

  // Of a new snapshot:
  //   manifest    it counts the events, users and sessions of the log below its W and of its imports
  absl::Status CheckManifest(const v1::SnapshotManifest& manifest) const;
  // Of the history after a run, `kept` being what it should have let go of if it was hidden:
  //   forgotten   nothing that a FORGET below W hides is there with its person
  absl::Status CheckForgotten(const v1::SnapshotManifest& manifest, const std::vector<KeptEvent>& kept) const;

  int64_t swaps() const { return swaps_; }
  int64_t rollbacks() const { return rollbacks_; }
  int64_t answers() const { return answers_; }

 private:
  struct Watched {
    int restarts = 0;
    std::map<int, int64_t> applied;
    std::map<int, std::map<int64_t, int64_t>> segments;  // By partition and start: where what they count ends.
    int64_t generation = 0;
  };
  const Truth& truth_;
  const v1::Config& config_;
  std::map<int, Watched> watched_;
  int64_t swaps_ = 0;
  int64_t rollbacks_ = 0;
  mutable int64_t answers_ = 0;
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_CHECKER_H_
