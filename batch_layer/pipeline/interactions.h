#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_INTERACTIONS_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_INTERACTIONS_H_

#include <cstdint>
#include <vector>

#include "batch_layer/learning/validation.h"
#include "batch_layer/models/kind_weights.h"
#include "common/user_state/user_history.h"
#include "tributary/v1/config.pb.h"

namespace tributary::batch {

// The configured weights; a kind that is not named has 0.
KindWeights WeightsOf(const v1::BatchConfig& config);

// Appends what common/user_state/observations.h says of a user, as row `row`.
void AppendObservations(const UserHistory& history, uint32_t row, const KindWeights& weights, double dislike_rating_at_most,
                        int64_t since_unix_ms, std::vector<Observation>* observations);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_INTERACTIONS_H_
