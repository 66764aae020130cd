#include "serving_layer/requests/experiments.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

std::optional<double> OwnWeight(bool set, double weight) { return set ? std::optional(weight) : std::nullopt; }

}  // namespace

SourceWeights ExperimentBucket::WeightsOf(SourceWeights weights) const {
  weights.personal = personal_weight.value_or(weights.personal);
  weights.session = session_weight.value_or(weights.session);
  weights.fallback = fallback_weight.value_or(weights.fallback);
  weights.newcomer = newcomer_weight.value_or(weights.newcomer);
  return weights;
}

double UserPoint(absl::string_view user_id, uint64_t seed) {
  return static_cast<double>(XXH64(user_id.data(), user_id.size(), seed) >> 11) * 0x1p-53;
}

absl::StatusOr<Experiments> Experiments::FromConfig(const v1::Config& config) {
  Experiments experiments;
  for (const v1::Experiment& message : config.serving().experiments()) {
    Experiment& experiment = experiments.experiments_.emplace_back();
    experiment.name = message.name();
    experiment.share = message.share();
    experiment.seed = XXH64(message.name().data(), message.name().size(), 0);
    for (const v1::ExperimentBucket& bucket : message.buckets()) {
      const v1::MergePolicy& own = bucket.merge();
      TRIBUTARY_ASSIGN_OR_RETURN(MergePolicy policy, MergePolicy::FromProto(PolicyOfBucket(config.merge(), own)));
      experiment.weights += bucket.weight();
      experiment.ends.push_back(experiment.weights);
      experiment.buckets.push_back({.name = absl::StrCat(message.name(), "/", bucket.name()),
                                    .policy = std::move(policy),
                                    .personal_weight = OwnWeight(own.has_personal_weight(), own.personal_weight()),
                                    .session_weight = OwnWeight(own.has_session_weight(), own.session_weight()),
                                    .fallback_weight = OwnWeight(own.has_fallback_weight(), own.fallback_weight()),
                                    .newcomer_weight = OwnWeight(own.has_newcomer_weight(), own.newcomer_weight()),
                                    .generation = Generation{bucket.generation()}});
      if (bucket.generation() != 0) {
        experiments.generation_ = Generation{bucket.generation()};
      }
    }
  }
  return experiments;
}

const ExperimentBucket* Experiments::Of(absl::string_view user_id) const {
  if (user_id.empty()) {
    return nullptr;
  }
  for (const Experiment& experiment : experiments_) {
    if (UserPoint(user_id, experiment.seed) < experiment.share) {
      const double point = UserPoint(user_id, ~experiment.seed) * experiment.weights;
      const auto end = std::upper_bound(experiment.ends.begin(), experiment.ends.end() - 1, point);
      return &experiment.buckets[static_cast<size_t>(end - experiment.ends.begin())];
    }
  }
  return nullptr;
}

const ExperimentBucket* Experiments::Find(absl::string_view name) const {
  for (const Experiment& experiment : experiments_) {
    for (const ExperimentBucket& bucket : experiment.buckets) {
      if (bucket.name == name) {
        return &bucket;
      }
    }
  }
  return nullptr;
}

std::vector<std::string> Experiments::BucketsOf(absl::string_view name) const {
  std::vector<std::string> names;
  for (const Experiment& experiment : experiments_) {
    if (name.empty() || experiment.name == name) {
      for (const ExperimentBucket& bucket : experiment.buckets) {
        names.push_back(bucket.name);
      }
    }
  }
  return names;
}

}  // namespace tributary::serving
