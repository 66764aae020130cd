#include "batch_layer/pipeline/interactions.h"

#include "common/user_state/observations.h"

namespace tributary::batch {

KindWeights WeightsOf(const v1::BatchConfig& config) {
  KindWeights weights{};
  for (const v1::KindWeight& entry : config.kind_weights()) {
    weights[entry.kind()] = static_cast<float>(entry.weight());
  }
  return weights;
}

void AppendObservations(const UserHistory& history, uint32_t row, const KindWeights& weights, double dislike_rating_at_most,
                        int64_t since_unix_ms, std::vector<Observation>* observations) {
  std::vector<ItemObservation> items;
  tributary::AppendObservations(history,
                                {.weights = weights,
                                 .dislike_rating_at_most = dislike_rating_at_most,
                                 .since_unix_ms = since_unix_ms},
                                &items);
  for (const ItemObservation& item : items) {
    observations->push_back({{row, Value(item.item), item.weight}, item.latest_unix_ms});
  }
}

}  // namespace tributary::batch
