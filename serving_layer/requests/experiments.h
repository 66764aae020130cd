#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_EXPERIMENTS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_EXPERIMENTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "common/merge/policy.h"
#include "tributary/v1/config.pb.h"

namespace tributary::serving {

// How the users of one bucket are served.
struct ExperimentBucket {
  std::string name;                  // EXPERIMENT/BUCKET
  MergePolicy policy;                // Complete.
  std::optional<double> personal_weight;   // Where the bucket has its own, whatever the manifest says; as the next three.
  std::optional<double> session_weight;
  std::optional<double> fallback_weight;
  std::optional<double> newcomer_weight;
  Generation generation{};           // 0: the current one.

  // Those of a snapshot, as this bucket has them.
  SourceWeights WeightsOf(SourceWeights weights) const;
};

// Where in [0, 1) a user stands by a hash of its id; evenly spread, and independent for different seeds:
// xxh64(user_id, seed) / 2^64, to 53 bits.
double UserPoint(absl::string_view user_id, uint64_t seed);

// The experiments of a configuration, and who is in them. With seed = xxh64(experiment name, 0), a user takes part in the
// first experiment with UserPoint(user, seed) < share, and is in the bucket in which UserPoint(user, ~seed) times the sum of
// the weights lies, the buckets laid end to end as they are listed. Immutable; call from any thread.
class Experiments {
 public:
  Experiments() = default;
  // InvalidArgument as of MergePolicy::FromProto; the rest is checked by LoadConfig.
  static absl::StatusOr<Experiments> FromConfig(const v1::Config& config);

  // Null: in none. A user without an id is in none.
  const ExperimentBucket* Of(absl::string_view user_id) const;
  // By EXPERIMENT/BUCKET; null: there is none of that name.
  const ExperimentBucket* Find(absl::string_view name) const;
  // Names of the buckets of one experiment, or of all for an empty name, as configured.
  std::vector<std::string> BucketsOf(absl::string_view experiment) const;
  // The one that buckets name; none: they are all served from the current one.
  std::optional<Generation> generation() const { return generation_; }

 private:
  struct Experiment {
    std::string name;
    double share = 1;
    double weights = 0;                     // The sum.
    std::vector<double> ends;               // Of the buckets: sums of the weights up to each.
    std::vector<ExperimentBucket> buckets;  // As ends.
    uint64_t seed = 0;
  };
  std::vector<Experiment> experiments_;
  std::optional<Generation> generation_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_EXPERIMENTS_H_
