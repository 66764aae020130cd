// Compiled once for each instruction set, with TRIBUTARY_KERNELS (a name), TRIBUTARY_INSTRUCTION_SET (text) and
// TRIBUTARY_LANES (floats in a register) set. Includes and calls nothing inline: what the linker merges must not hold
// instructions that some machine lacks.
#include <cstddef>
#include <cstdint>

#include "common/dense/kernels.h"

namespace tributary::dense {
namespace {

constexpr size_t kLanes = TRIBUTARY_LANES;
using Vector = float __attribute__((vector_size(TRIBUTARY_LANES * 4), aligned(4), may_alias));
using Integers = int32_t __attribute__((vector_size(TRIBUTARY_LANES * 4)));

// Tiles that fill the registers: rows x 2 vectors of sums for products, rows x columns sums for inner products.
constexpr size_t kPanel = 2 * kLanes;
constexpr size_t kTileRows = kLanes == 16 ? 12 : 6;
constexpr size_t kDotRows = kLanes == 16 ? 4 : 3;
constexpr size_t kDotColumns = kLanes == 16 ? 6 : 4;
constexpr size_t kDotDepth = 512;       // Floats of a row at a time: a tile's rows stay in the first-level cache.
constexpr size_t kCholeskyBlock = 16;

inline Vector Load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void Store(Vector v, float* p) { *reinterpret_cast<Vector*>(p) = v; }

inline float Sum(Vector v) {
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    Integers swap{};
    for (size_t i = 0; i < kLanes; ++i) {
      swap[i] = static_cast<int32_t>(i ^ half);
    }
    v += __builtin_shuffle(v, swap);
  }
  return v[0];
}

template <size_t kRows>
void MultiplyTile(const float* a, size_t a_row, size_t a_column, const float* b, size_t ldb, size_t depth, Update update,
                  float* c, size_t ldc, size_t width) {
  Vector sums[kRows][2] = {};
  for (size_t r = 0; r < depth; ++r) {
    const Vector left = Load(b + r * ldb);
    const Vector right = Load(b + r * ldb + kLanes);
    const float* const column = a + r * a_column;
#pragma GCC unroll 16
    for (size_t m = 0; m < kRows; ++m) {
      const float factor = column[m * a_row];
      sums[m][0] += factor * left;
      sums[m][1] += factor * right;
    }
  }
  if (width == kPanel) {
#pragma GCC unroll 16
    for (size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (size_t n = 0; n < 2; ++n) {
        float* const at = c + m * ldc + n * kLanes;
        Store(update == Update::kStore ? sums[m][n] : update == Update::kAdd ? Load(at) + sums[m][n] : Load(at) - sums[m][n],
              at);
      }
    }
    return;
  }
  float edge[kRows][kPanel];
#pragma GCC unroll 16
  for (size_t m = 0; m < kRows; ++m) {
    Store(sums[m][0], edge[m]);
    Store(sums[m][1], edge[m] + kLanes);
  }
  for (size_t m = 0; m < kRows; ++m) {
    for (size_t n = 0; n < width; ++n) {
      float& at = c[m * ldc + n];
      at = update == Update::kStore ? edge[m][n] : update == Update::kAdd ? at + edge[m][n] : at - edge[m][n];
    }
  }
}

void Multiply(const float* a, size_t a_row, size_t a_column, size_t rows, const float* b, size_t ldb, size_t depth,
              Update update, float* c, size_t ldc, size_t width) {
  size_t m = 0;
  for (; m + kTileRows <= rows; m += kTileRows) {
    MultiplyTile<kTileRows>(a + m * a_row, a_row, a_column, b, ldb, depth, update, c + m * ldc, ldc, width);
  }
  for (; m + 4 <= rows; m += 4) {
    MultiplyTile<4>(a + m * a_row, a_row, a_column, b, ldb, depth, update, c + m * ldc, ldc, width);
  }
  for (; m < rows; ++m) {
    MultiplyTile<1>(a + m * a_row, a_row, a_column, b, ldb, depth, update, c + m * ldc, ldc, width);
  }
}

template <size_t kRows, size_t kColumns>
void DotTile(const float* x, const float* y, size_t ld, size_t depth, bool add, float* c, size_t ldc) {
  Vector sums[kRows][kColumns] = {};
  size_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) {
    Vector columns[kColumns];
#pragma GCC unroll 16
    for (size_t n = 0; n < kColumns; ++n) {
      columns[n] = Load(y + n * ld + i);
    }
#pragma GCC unroll 16
    for (size_t m = 0; m < kRows; ++m) {
      const Vector row = Load(x + m * ld + i);
#pragma GCC unroll 16
      for (size_t n = 0; n < kColumns; ++n) {
        sums[m][n] += row * columns[n];
      }
    }
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 16
    for (size_t n = 0; n < kColumns; ++n) {
      float sum = Sum(sums[m][n]);
      for (size_t rest = i; rest < depth; ++rest) {
        sum += x[m * ld + rest] * y[n * ld + rest];
      }
      c[m * ldc + n] = add ? c[m * ldc + n] + sum : sum;
    }
  }
}

// Rows [m, m + kRows) against columns from `n` on.
template <size_t kRows>
void DotRows(const float* z, size_t ldz, size_t m, size_t n, size_t rows, size_t depth, bool add, float* c, size_t ldc) {
  for (; n + kDotColumns <= rows; n += kDotColumns) {
    DotTile<kRows, kDotColumns>(z + m * ldz, z + n * ldz, ldz, depth, add, c + m * ldc + n, ldc);
  }
  for (; n < rows; ++n) {
    DotTile<kRows, 1>(z + m * ldz, z + n * ldz, ldz, depth, add, c + m * ldc + n, ldc);
  }
}

void OuterGram(const float* z, size_t ldz, size_t rows, size_t columns, float* c, size_t ldc) {
  for (size_t begin = 0; begin < columns; begin += kDotDepth) {
    const size_t depth = columns - begin < kDotDepth ? columns - begin : kDotDepth;
    size_t m = 0;
    for (; m + kDotRows <= rows; m += kDotRows) {
      DotRows<kDotRows>(z + begin, ldz, m, m, rows, depth, begin > 0, c, ldc);
    }
    for (; m < rows; ++m) {
      DotRows<1>(z + begin, ldz, m, m, rows, depth, begin > 0, c, ldc);
    }
  }
}

// y -= sum over t of factors[t * ld_factors] * x(t), on [begin, end).
template <size_t kRows>
void SubtractRows(const float* x, size_t ldx, const float* factors, size_t ld_factors, size_t begin, size_t end, float* y) {
  size_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    Vector sum = Load(y + i);
#pragma GCC unroll 4
    for (size_t t = 0; t < kRows; ++t) {
      sum -= factors[t * ld_factors] * Load(x + t * ldx + i);
    }
    Store(sum, y + i);
  }
  for (; i < end; ++i) {
    float sum = y[i];
    for (size_t t = 0; t < kRows; ++t) {
      sum -= factors[t * ld_factors] * x[t * ldx + i];
    }
    y[i] = sum;
  }
}

// A = U'U by blocks of rows, right-looking: within a block by rows, then the rest of the matrix at once.
void Cholesky(float* a, size_t lda, size_t n) {
  for (size_t begin = 0; begin < n; begin += kCholeskyBlock) {
    const size_t end = n - begin < kCholeskyBlock ? n : begin + kCholeskyBlock;
    for (size_t j = begin; j < end; ++j) {
      float* const row = a + j * lda;
      size_t t = begin;
      for (; t + 4 <= j; t += 4) {
        SubtractRows<4>(a + t * lda, lda, a + t * lda + j, lda, j, n, row);
      }
      for (; t < j; ++t) {
        SubtractRows<1>(a + t * lda, lda, a + t * lda + j, lda, j, n, row);
      }
      const float inverse = 1 / __builtin_sqrtf(row[j]);
      for (size_t i = j; i < n; ++i) {
        row[i] *= inverse;
      }
    }
    for (size_t column = end; column < n; column += kPanel) {
      const size_t width = n - column < kPanel ? n - column : kPanel;
      // Below the diagonal nobody looks, so the last rows of a panel may be written in full.
      Multiply(a + begin * lda + end, 1, lda, column + width - end, a + begin * lda + column, lda, end - begin,
               Update::kSubtract, a + end * lda + column, lda, width);
    }
  }
}

void CholeskySolve(float* a, size_t lda, size_t n, float* b) {
  Cholesky(a, lda, n);
  for (size_t j = 0; j < n; ++j) {
    const float value = b[j] / a[j * lda + j];
    b[j] = value;
    SubtractRows<1>(a + j * lda, 0, &value, 0, j + 1, n, b);
  }
  for (size_t j = n; j-- > 0;) {
    const float* const row = a + j * lda;
    Vector sums = {};
    size_t i = j + 1;
    for (; i + kLanes <= n; i += kLanes) {
      sums += Load(row + i) * Load(b + i);
    }
    float sum = Sum(sums);
    for (; i < n; ++i) {
      sum += row[i] * b[i];
    }
    b[j] = (b[j] - sum) / row[j];
  }
}

void InverseRoot(const float* values, float shift, size_t n, float* __restrict out) {
  for (size_t i = 0; i < n; ++i) {
    out[i] = 1 / __builtin_sqrtf(values[i] + shift);
  }
}

void ScaleRow(const float* row, const float* scale, float factor, size_t columns, float* out) {
  size_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) {
    Store(factor * (Load(row + i) * Load(scale + i)), out + i);
  }
  for (; i < columns; ++i) {
    out[i] = factor * (row[i] * scale[i]);
  }
}

void WeightedSum(const float* z, size_t ldz, size_t rows, size_t columns, const float* weights,
                 float* __restrict out) {
  size_t m = 0;
  for (; m + 4 <= rows; m += 4) {
    const float* const row = z + m * ldz;
    const float* const w = weights + m;
    for (size_t i = 0; i < columns; ++i) {
      out[i] += w[0] * row[i] + w[1] * row[ldz + i] + w[2] * row[2 * ldz + i] + w[3] * row[3 * ldz + i];
    }
  }
  for (; m < rows; ++m) {
    for (size_t i = 0; i < columns; ++i) {
      out[i] += weights[m] * z[m * ldz + i];
    }
  }
}

size_t FindAtLeast(const float* scores, size_t n, float least, uint32_t* places) {
  size_t found = 0;
  size_t i = 0;
  // Most blocks hold none: a maximum says so for many at once.
  constexpr size_t kBlock = 4 * kLanes;
  for (; i + kBlock <= n; i += kBlock) {
    const Integers any = (Load(scores + i) >= least) | (Load(scores + i + kLanes) >= least) |
                         (Load(scores + i + 2 * kLanes) >= least) | (Load(scores + i + 3 * kLanes) >= least);
    int32_t some = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      some |= any[lane];
    }
    if (some != 0) {
      for (size_t at = i; at < i + kBlock; ++at) {
        places[found] = static_cast<uint32_t>(at);
        found += scores[at] >= least;
      }
    }
  }
  for (; i < n; ++i) {
    places[found] = static_cast<uint32_t>(i);
    found += scores[i] >= least;
  }
  return found;
}

}  // namespace

extern const Kernels TRIBUTARY_KERNELS;
const Kernels TRIBUTARY_KERNELS = {TRIBUTARY_INSTRUCTION_SET, kPanel,      Multiply,   OuterGram,  CholeskySolve,
                                   InverseRoot,               ScaleRow,    WeightedSum, FindAtLeast};

}  // namespace tributary::dense
