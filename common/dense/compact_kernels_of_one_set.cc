// Compiled once for each instruction set, with TRIBUTARY_KERNELS (a name), TRIBUTARY_INSTRUCTION_SET (text) and
// TRIBUTARY_LANES (floats in a register) set. Includes and calls nothing inline, as kernels_of_one_set.cc.
#include <cstddef>
#include <cstdint>

#include "common/dense/compact_kernels.h"

namespace tributary::dense {
namespace {

constexpr size_t kLanes = TRIBUTARY_LANES;
using Floats = float __attribute__((vector_size(TRIBUTARY_LANES * 4), aligned(4), may_alias));
using Integers = int32_t __attribute__((vector_size(TRIBUTARY_LANES * 4), aligned(4), may_alias));

constexpr size_t kParts = kCompactBlock / kLanes;  // Registers of a block.
constexpr size_t kTogether = 4;                    // Blocks at a time: as many sums as do not wait for each other.

inline Floats Load(const float* p) { return *reinterpret_cast<const Floats*>(p); }
inline void Store(Floats v, float* p) { *reinterpret_cast<Floats*>(p) = v; }

// Each lane plus the product of its four bytes (unsigned) with the four of the vector (signed).
#if defined(__AVX512VNNI__)
constexpr int kMost = 127;
inline Integers AddProducts(Integers sums, const uint8_t* bytes, int32_t quad) {
  using Sixteen = int __attribute__((vector_size(64)));
  const Integers rows = *reinterpret_cast<const Integers*>(bytes);
  const Integers vector = Integers{} + quad;
#ifdef __clang__
  return (Integers)__builtin_ia32_vpdpbusd512((Sixteen)sums, (Sixteen)rows, (Sixteen)vector);
#else
  return (Integers)__builtin_ia32_vpdpbusd_v16si((Sixteen)sums, (Sixteen)rows, (Sixteen)vector);
#endif
}
#elif defined(__AVX2__)
constexpr int kMost = 64;  // Two products fit 16 bits.
inline Integers AddProducts(Integers sums, const uint8_t* bytes, int32_t quad) {
  using Bytes = char __attribute__((vector_size(32)));
  using Shorts = short __attribute__((vector_size(32)));
  const Integers rows = *reinterpret_cast<const Integers*>(bytes);
  const Integers vector = Integers{} + quad;
  const Shorts pairs = (Shorts)__builtin_ia32_pmaddubsw256((Bytes)rows, (Bytes)vector);
  return sums + (Integers)__builtin_ia32_pmaddwd256(pairs, Shorts{} + short{1});
}
#else
constexpr int kMost = 127;
inline Integers AddProducts(Integers sums, const uint8_t* bytes, int32_t quad) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    for (size_t column = 0; column < 4; ++column) {
      sums[lane] += bytes[4 * lane + column] * static_cast<int8_t>(quad >> (8 * column));
    }
  }
  return sums;
}
#endif

void Bounds(const CompactRows& rows, size_t first_chunk, size_t chunks, const CompactVector& vector, float* upper,
            float* maxima) {
  constexpr size_t kBlocks = kCompactChunk / kCompactBlock;
  const size_t block_bytes = rows.quads * 4 * kCompactBlock;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    Floats best[kParts];
    for (size_t first = 0; first < kBlocks; first += kTogether) {
      const size_t block = (first_chunk + chunk) * kBlocks + first;
      const uint8_t* const bytes = rows.values + block * block_bytes;
      Integers sums[kTogether][kParts] = {};
      for (size_t q = 0; q < rows.quads; ++q) {
#pragma GCC unroll 4
        for (size_t b = 0; b < kTogether; ++b) {
#pragma GCC unroll 4
          for (size_t p = 0; p < kParts; ++p) {
            sums[b][p] = AddProducts(sums[b][p], bytes + b * block_bytes + (q * kCompactBlock + p * kLanes) * 4, vector.quads[q]);
          }
        }
      }
      for (size_t b = 0; b < kTogether; ++b) {
        for (size_t p = 0; p < kParts; ++p) {
          const size_t row = (block + b) * kCompactBlock + p * kLanes;
          const Floats product =
              Load(rows.scales + row) * (vector.scale * __builtin_convertvector(sums[b][p] - vector.offset, Floats));
          const Floats error = Load(rows.lengths + row) * vector.length_factor +
                               Load(rows.errors + row) * vector.error_factor + vector.least_error;
          Store(product + error, upper + (chunk * kBlocks + first + b) * kCompactBlock + p * kLanes);
          const Floats lower = product - error;
          best[p] = first + b == 0 ? lower : lower > best[p] ? lower : best[p];
        }
      }
    }
    for (size_t p = 0; p < kParts; ++p) {
      Store(best[p], maxima + chunk * kCompactBlock + p * kLanes);
    }
  }
}

}  // namespace

extern const CompactKernels TRIBUTARY_KERNELS;
const CompactKernels TRIBUTARY_KERNELS = {TRIBUTARY_INSTRUCTION_SET, kMost, Bounds};

}  // namespace tributary::dense
