#ifndef TRIBUTARY_COMMON_DENSE_KERNELS_H_
#define TRIBUTARY_COMMON_DENSE_KERNELS_H_

#include <cstddef>
#include <cstdint>

// The innermost loops of dense fp32 arithmetic, compiled once for each instruction set that is worth it. Matrices are
// row-major; `ld` is the distance of two rows in floats. What a kernel computes for one element does not depend on where in
// a matrix the element lies, so cutting work into blocks and giving them to threads changes no bit; another instruction set
// may. Includes nothing inline: see kernels_of_one_set.cc.
namespace tributary::dense {

enum class Update { kStore, kAdd, kSubtract };

struct Kernels {
  const char* instruction_set;         // As in the manifest, such as x86-64+avx2.
  size_t panel_width;                  // Columns that Multiply makes at a time.
  size_t lanes;                        // Systems that cholesky_solve_lanes solves at a time.

  // C (rows x width) =, += or -= A B, with A(m, r) at a[m * a_row + r * a_column] and B(r, n) at b[r * ldb + n].
  // width <= panel_width. Rows of `b` are read up to panel_width.
  void (*multiply)(const float* a, size_t a_row, size_t a_column, size_t rows, const float* b, size_t ldb, size_t depth,
                   Update update, float* c, size_t ldc, size_t width);
  // The upper triangle of C (rows x rows) = Z Z', Z being rows x columns, C(m, n) at c[m * ldc + n * step].
  void (*outer_gram)(const float* z, size_t ldz, size_t rows, size_t columns, float* c, size_t ldc, size_t step);
  // The upper triangle of A (n x n, positive definite) becomes U with A = U'U; then b becomes A^-1 b. Rows of `a` are read
  // up to panel_width beyond n.
  void (*cholesky_solve)(float* a, size_t lda, size_t n, float* b);
  // The same for `lanes` systems at once, interleaved: the n rows of `a` are those of A and b, element (i, j) of system s at
  // a[(i * (n + 1) + j) * lanes + s]; b's place (j = n) gets the solution. What one system gets does not depend on the
  // others, nor on rows and columns of the identity that are added behind it.
  void (*cholesky_solve_lanes)(float* a, size_t n);
  // out = 1 / sqrt(values + shift), by element.
  void (*inverse_root)(const float* values, float shift, size_t n, float* out);
  // out = factor * row * scale, by element; `out` may be `row`.
  void (*scale_row)(const float* row, const float* scale, float factor, size_t columns, float* out);
  // out += sum over i < rows of weights[i] * Z(places[i]); without places, of Z(i).
  void (*weighted_sum)(const float* z, size_t ldz, const uint32_t* places, size_t rows, size_t columns,
                       const float* weights, float* out);
  // out[i] = inner product of row i of Z (rows x columns) with `vector`.
  void (*inner_products)(const float* z, size_t ldz, size_t rows, size_t columns, const float* vector, float* out);
  // The places of scores of at least `least`, ascending; returns how many. `places` has room for n.
  size_t (*find_at_least)(const float* scores, size_t n, float least, uint32_t* places);
};

}  // namespace tributary::dense

#endif  // TRIBUTARY_COMMON_DENSE_KERNELS_H_
