#include "batch_layer/models/random_normal.h"

#include <xxhash.h>

#include <array>
#include <cmath>
#include <numbers>

namespace tributary::batch {
namespace {

// A standard normal value that depends on its coordinates alone (Box-Muller on a counter's hash).
float Normal(uint64_t seed, uint32_t row, uint32_t column) {
  const std::array<uint32_t, 2> counter = {row, column};
  const XXH128_hash_t bits = XXH3_128bits_withSeed(counter.data(), sizeof(counter), seed);
  const double u = (static_cast<double>(bits.low64 >> 11) + 1) * 0x1p-53;   // (0, 1]
  const double v = static_cast<double>(bits.high64 >> 11) * 0x1p-53;        // [0, 1)
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
}

}  // namespace

Factors RandomNormal(uint32_t rows, int dimensions, float deviation, uint64_t seed) {
  Factors factors(rows, dimensions);
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t column = 0;
    for (float& value : factors.row(row)) {
      value = deviation * Normal(seed, row, column++);
    }
  }
  return factors;
}

}  // namespace tributary::batch
