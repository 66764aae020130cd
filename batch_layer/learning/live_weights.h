#ifndef TRIBUTARY_BATCH_LAYER_LEARNING_LIVE_WEIGHTS_H_
#define TRIBUTARY_BATCH_LAYER_LEARNING_LIVE_WEIGHTS_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "batch_layer/evaluation/ranking_metrics.h"
#include "batch_layer/evaluation/served_lists.h"
#include "batch_layer/learning/validation.h"
#include "tributary/v1/config.pb.h"

namespace tributary::batch {

// What merge's sources count for users who act, the list of the batch layer counting 1 (common/merge/policy.h).
struct LiveWeights {
  double session = 0;
  double folded_share = 1;   // common/merge/mixed_list.h.
  double newcomer = 0;
  // At the chosen weights; no users: too few, and the weights are those of the policy.
  RankingMetrics users;
  RankingMetrics newcomers;
};

struct Learned;

// Chooses them, by NDCG, as merge serves:
//   users     who have a list, and did the first half of what is held out of them just now; asked for is the other half
//   newcomers of whom nothing is known but what they did before what is held out, all of it just now
// `learned`: its models have not seen what the slice holds out. Nothing of the sessions in which something held out was done
// is known. Looks at batch.blend.live_users of each at most, chosen by the slice's order; weights that less than
// kLeastLiveUsers would tell of stay those of the policy.
absl::StatusOr<LiveWeights> ChooseLiveWeights(const ValidationSlice& slice, const Learned& learned,
                                              const v1::BatchConfig& config, const ServingWorld& world);

inline constexpr size_t kLeastLiveUsers = 100;

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_LEARNING_LIVE_WEIGHTS_H_
