#ifndef TRIBUTARY_BATCH_LAYER_MODELS_KIND_WEIGHTS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_KIND_WEIGHTS_H_

#include "common/user_state/observations.h"

namespace tributary::batch {

using tributary::KindWeights;

// The defaults of BatchConfig.kind_weights: a purchase says most, then what comes before it. What takes something back or
// is not about liking (return, dislike, adjustment, impression ...) says nothing for an item.
constexpr KindWeights DefaultKindWeights() {
  KindWeights weights{};
  weights[v1::VIEW] = 1;
  weights[v1::CLICK] = 1;
  weights[v1::ADD_TO_CART] = 3;
  weights[v1::PURCHASE] = 5;
  weights[v1::LIKE] = 4;
  weights[v1::RATING] = 2;
  return weights;
}

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_KIND_WEIGHTS_H_
