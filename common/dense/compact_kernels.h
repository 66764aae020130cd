#ifndef TRIBUTARY_COMMON_DENSE_COMPACT_KERNELS_H_
#define TRIBUTARY_COMMON_DENSE_COMPACT_KERNELS_H_

#include <cstddef>
#include <cstdint>

// The innermost loop of compact_factors.h, compiled once for each instruction set that is worth it. Includes nothing
// inline: see compact_kernels_of_one_set.cc.
namespace tributary::dense {

// Rows come in blocks of 16, four columns of each after the other: byte 4 * row + column of the q-th 64 bytes is column
// 4 q + column of the row, plus 128. A chunk is 16 blocks, and all arrays are filled up to whole chunks.
inline constexpr size_t kCompactBlock = 16;
inline constexpr size_t kCompactChunk = 256;

struct CompactRows {
  const uint8_t* values;  // quads * 64 bytes a block.
  size_t quads;           // Columns / 4, rounded up.
  const float* scales;    // By row.
  const float* lengths;   // At least the length of what the bytes say.
  const float* errors;    // At least the length of what they leave out.
};

struct CompactVector {
  const int32_t* quads;  // Four bytes each, the first column lowest.
  int32_t offset;        // What the 128s add to each product.
  float scale;
  float length_factor, error_factor;  // How far the product of a row may be off, for each unit of its length and error,
  float least_error;                  // and at least.
};

struct CompactKernels {
  const char* instruction_set;
  int most;  // The vector's bytes lie in [-most, most].

  // For rows [256 first_chunk, 256 (first_chunk + chunks)): upper[i] is at least the inner product of the i-th of them;
  // maxima[16 c + l] is the greatest of what the products of 16 rows of the c-th chunk are at least, different ones for
  // each l.
  void (*bounds)(const CompactRows& rows, size_t first_chunk, size_t chunks, const CompactVector& vector, float* upper,
                 float* maxima);
};

}  // namespace tributary::dense

#endif  // TRIBUTARY_COMMON_DENSE_COMPACT_KERNELS_H_
