#ifndef TRIBUTARY_BATCH_LAYER_MODELS_KIND_WEIGHTS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_KIND_WEIGHTS_H_

#include <array>

#include "tributary/v1/event.pb.h"

namespace tributary::batch {

// What one event of a kind says for its item, >= 0; 0: nothing. By EventType.
using KindWeights = std::array<float, v1::EventType_ARRAYSIZE>;

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
