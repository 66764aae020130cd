#ifndef TRIBUTARY_BATCH_LAYER_MODELS_RANDOM_NORMAL_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_RANDOM_NORMAL_H_

#include <cstdint>

#include "common/dense/factors.h"

namespace tributary::batch {

// Factors N(0, deviation), each value a function of (seed, row, dimension) alone.
Factors RandomNormal(uint32_t rows, int dimensions, float deviation, uint64_t seed);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_RANDOM_NORMAL_H_
