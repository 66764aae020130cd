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
constexpr size_t kCholeskyBlock = 12;   // A tile's rows.
constexpr size_t kBlockVectors = (kCholeskyBlock + kLanes - 1) / kLanes;
constexpr size_t kLaneColumns = 8;      // Columns of interleaved matrices at a time.

inline Vector Load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void Store(Vector v, float* p) { *reinterpret_cast<Vector*>(p) = v; }

// Lanes without the bit `kHalf` in their number get a's lane and its partner's, added up; the others get b's.
template <size_t kHalf>
inline Vector AddHalves(Vector a, Vector b) {
#ifdef __clang__   // Which has no __builtin_shuffle, and compiles for the fuzzer alone.
  Vector sums{};
  for (size_t i = 0; i < kLanes; ++i) {
    const Vector& from = (i & kHalf) == 0 ? a : b;
    sums[i] = from[i] + from[i ^ kHalf];
  }
  return sums;
#else
  Integers stay{}, swap{};
  for (size_t i = 0; i < kLanes; ++i) {
    const size_t from = (i & kHalf) == 0 ? 0 : kLanes;
    stay[i] = static_cast<int32_t>(from + i);
    swap[i] = static_cast<int32_t>(from + (i ^ kHalf));
  }
  return __builtin_shuffle(a, b, stay) + __builtin_shuffle(a, b, swap);
#endif
}

// The sums over the lanes of kCount vectors (a power of two, at most kLanes), each in the same order: that of vector n is
// in the lane LaneOf(n) of the result.
template <size_t kCount, size_t kHalf = kLanes / 2>
inline Vector SumEach(Vector* v) {
  if constexpr (kHalf == 0) {
    return v[0];
  } else if constexpr (kCount == 1) {
    v[0] = AddHalves<kHalf>(v[0], v[0]);
    return SumEach<1, kHalf / 2>(v);
  } else {
#pragma GCC unroll 16
    for (size_t n = 0; n < kCount / 2; ++n) {
      v[n] = AddHalves<kHalf>(v[2 * n], v[2 * n + 1]);
    }
    return SumEach<kCount / 2, kHalf / 2>(v);
  }
}

constexpr size_t LaneOf(size_t n) {
  size_t lane = 0;
  for (size_t half = kLanes / 2; half > 0; half /= 2, n /= 2) {
    lane += n % 2 * half;
  }
  return lane;
}

inline float Sum(Vector v) { return SumEach<1>(&v)[0]; }

// sums[n] = Sum(v[n]) for kCount vectors.
template <size_t kCount>
inline void SumAll(Vector* v, float* sums) {
  constexpr size_t kPower = kCount >= kLanes ? kLanes : kCount >= 8 ? 8 : kCount >= 4 ? 4 : kCount >= 2 ? 2 : 1;
  float lanes[kLanes];
  Store(SumEach<kPower>(v), lanes);
#pragma GCC unroll 16
  for (size_t n = 0; n < kPower; ++n) {
    sums[n] = lanes[LaneOf(n)];
  }
  if constexpr (kCount > kPower) {
    SumAll<kCount - kPower>(v + kPower, sums + kPower);
  }
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
void DotTile(const float* x, const float* y, size_t ld, size_t depth, bool add, float* c, size_t ldc, size_t step) {
  Vector products[kRows * kColumns] = {};
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
        products[m * kColumns + n] += row * columns[n];
      }
    }
  }
  float sums[kRows * kColumns];
  SumAll<kRows * kColumns>(products, sums);
  for (size_t m = 0; m < kRows; ++m) {
    for (size_t n = 0; n < kColumns; ++n) {
      float sum = sums[m * kColumns + n];
      for (size_t rest = i; rest < depth; ++rest) {
        sum += x[m * ld + rest] * y[n * ld + rest];
      }
      float& at = c[m * ldc + n * step];
      at = add ? at + sum : sum;
    }
  }
}

// DotTile of `columns` columns, 1 to kColumns.
template <size_t kRows, size_t kColumns>
void DotTileOf(size_t columns, const float* x, const float* y, size_t ld, size_t depth, bool add, float* c, size_t ldc,
               size_t step) {
  if (columns == kColumns) {
    DotTile<kRows, kColumns>(x, y, ld, depth, add, c, ldc, step);
  } else if constexpr (kColumns > 1) {
    DotTileOf<kRows, kColumns - 1>(columns, x, y, ld, depth, add, c, ldc, step);
  }
}

// Rows [m, m + count) against the columns from m on, in tiles of about equal width. `count`: 1 to kRows.
template <size_t kRows>
void DotRows(size_t count, const float* z, size_t ldz, size_t m, size_t rows, size_t depth, bool add, float* c, size_t ldc,
             size_t step) {
  if (count == kRows) {
    for (size_t n = m, tiles = (rows - m + kDotColumns - 1) / kDotColumns; tiles > 0; --tiles) {
      const size_t width = (rows - n + tiles - 1) / tiles;
      DotTileOf<kRows, kDotColumns>(width, z + m * ldz, z + n * ldz, ldz, depth, add, c + m * ldc + n * step, ldc, step);
      n += width;
    }
  } else if constexpr (kRows > 1) {
    DotRows<kRows - 1>(count, z, ldz, m, rows, depth, add, c, ldc, step);
  }
}

void OuterGram(const float* z, size_t ldz, size_t rows, size_t columns, float* c, size_t ldc, size_t step) {
  for (size_t begin = 0; begin < columns; begin += kDotDepth) {
    const size_t depth = columns - begin < kDotDepth ? columns - begin : kDotDepth;
    for (size_t m = 0; m < rows; m += kDotRows) {
      DotRows<kDotRows>(rows - m < kDotRows ? rows - m : kDotRows, z + begin, ldz, m, rows, depth, begin > 0, c, ldc, step);
    }
  }
}

void InnerProducts(const float* z, size_t ldz, size_t rows, size_t columns, const float* vector, float* out) {
  for (size_t m = 0; m < rows; m += kDotColumns) {
    DotTileOf<1, kDotColumns>(rows - m < kDotColumns ? rows - m : kDotColumns, vector, z + m * ldz, ldz, columns, false,
                              out + m, 0, 1);
  }
}

// Factors `count` <= kCholeskyBlock rows from the diagonal on, in the first kBlockVectors vectors of their columns.
void CholeskyDiagonal(float* a, size_t lda, size_t count) {
  for (size_t j = 0; j < count; ++j) {
    float* const row = a + j * lda;
    const float inverse = 1 / __builtin_sqrtf(row[j]);
    Vector done[kBlockVectors];
    for (size_t i = 0; i < kBlockVectors; ++i) {
      done[i] = Load(row + i * kLanes) * inverse;
      Store(done[i], row + i * kLanes);
    }
    for (size_t m = j + 1; m < count; ++m) {
      for (size_t i = 0; i < kBlockVectors; ++i) {
        Store(Load(a + m * lda + i * kLanes) - row[m] * done[i], a + m * lda + i * kLanes);
      }
    }
  }
}

// U'^-1 times kCount vectors of the block's further columns.
template <size_t kCount>
void CholeskyColumns(const float* diagonal, const float* inverses, size_t lda, float* columns) {
  Vector rows[kCholeskyBlock][kCount];
#pragma GCC unroll 12
  for (size_t j = 0; j < kCholeskyBlock; ++j) {
#pragma GCC unroll 2
    for (size_t i = 0; i < kCount; ++i) {
      rows[j][i] = Load(columns + j * lda + i * kLanes);
#pragma GCC unroll 12
      for (size_t t = 0; t < j; ++t) {
        rows[j][i] -= diagonal[t * lda + j] * rows[t][i];
      }
      rows[j][i] *= inverses[j];
      Store(rows[j][i], columns + j * lda + i * kLanes);
    }
  }
}

// A = U'U by blocks of rows, left-looking: what the rows above take away from a block at once, then the block itself.
// Columns are worked on beyond n: there is room, and nobody looks there or below the diagonal.
void Cholesky(float* a, size_t lda, size_t n) {
  for (size_t begin = 0; begin < n; begin += kCholeskyBlock) {
    const size_t count = n - begin < kCholeskyBlock ? n - begin : kCholeskyBlock;
    float* const block = a + begin * lda;
    for (size_t column = begin; column < n && begin > 0; column += kPanel) {
      Multiply(a + begin, 1, lda, count, a + column, lda, begin, Update::kSubtract, block + column, lda, kPanel);
    }
    CholeskyDiagonal(block + begin, lda, count);
    size_t column = begin + kBlockVectors * kLanes;
    if (column >= n) {
      continue;
    }
    float inverses[kCholeskyBlock];
    for (size_t j = 0; j < kCholeskyBlock; ++j) {
      inverses[j] = 1 / block[j * lda + begin + j];
    }
    for (; column + kLanes < n; column += 2 * kLanes) {
      CholeskyColumns<2>(block + begin, inverses, lda, block + column);
    }
    if (column < n) {
      CholeskyColumns<1>(block + begin, inverses, lda, block + column);
    }
  }
}

void CholeskySolve(float* a, size_t lda, size_t n, float* b) {
  Cholesky(a, lda, n);
  for (size_t j = 0; j < n; ++j) {
    const float value = b[j] / a[j * lda + j];
    b[j] = value;
    size_t i = j + 1;
    for (; i + kLanes <= n; i += kLanes) {
      Store(Load(b + i) - value * Load(a + j * lda + i), b + i);
    }
    for (; i < n; ++i) {
      b[i] -= value * a[j * lda + i];
    }
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

// Of one row of interleaved matrices: y(i) -= sum over t < rows of x(t, column) x(t, i) for the kColumns places from i = 0.
template <size_t kColumns>
void SubtractLanes(const float* x, size_t ldx, size_t rows, const float* column, float* y) {
  Vector sums[kColumns];
#pragma GCC unroll 8
  for (size_t i = 0; i < kColumns; ++i) {
    sums[i] = Load(y + i * kLanes);
  }
  for (size_t t = 0; t < rows; ++t) {
    const Vector factor = Load(column + t * ldx);
#pragma GCC unroll 8
    for (size_t i = 0; i < kColumns; ++i) {
      sums[i] -= factor * Load(x + t * ldx + i * kLanes);
    }
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kColumns; ++i) {
    Store(sums[i], y + i * kLanes);
  }
}

template <size_t kColumns>
void SubtractLanesOf(size_t columns, const float* x, size_t ldx, size_t rows, const float* column, float* y) {
  if (columns == kColumns) {
    SubtractLanes<kColumns>(x, ldx, rows, column, y);
  } else if constexpr (kColumns > 1) {
    SubtractLanesOf<kColumns - 1>(columns, x, ldx, rows, column, y);
  }
}

void CholeskySolveLanes(float* a, size_t n) {
  const size_t lda = (n + 1) * kLanes;
  for (size_t j = 0; j < n; ++j) {
    float* const row = a + j * lda;
    for (size_t i = j, tiles = (n + 1 - j + kLaneColumns - 1) / kLaneColumns; tiles > 0; --tiles) {
      const size_t width = (n + 1 - i + tiles - 1) / tiles;
      SubtractLanesOf<kLaneColumns>(width, a + i * kLanes, lda, j, a + j * kLanes, row + i * kLanes);
      i += width;
    }
    float inverse[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      inverse[lane] = 1 / __builtin_sqrtf(row[j * kLanes + lane]);
    }
    Store(Load(inverse), row + j * kLanes);   // All that is asked of the diagonal.
    for (size_t i = j + 1; i <= n; ++i) {
      Store(Load(row + i * kLanes) * Load(inverse), row + i * kLanes);
    }
  }
  for (size_t j = n; j-- > 0;) {
    float* const right = a + j * lda + n * kLanes;
    const Vector value = Load(right) * Load(a + j * lda + j * kLanes);
    Store(value, right);
    for (size_t i = 0; i < j; ++i) {
      float* const above = a + i * lda + n * kLanes;
      Store(Load(above) - Load(a + i * lda + j * kLanes) * value, above);
    }
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

// kColumns vectors of the sum.
template <size_t kColumns>
void WeightedSumOf(const float* z, size_t ldz, const uint32_t* places, size_t rows, const float* weights, float* out) {
  Vector sums[kColumns] = {};
  for (size_t m = 0; m < rows; ++m) {
    const float* const row = z + (places == nullptr ? m : places[m]) * ldz;
#pragma GCC unroll 8
    for (size_t n = 0; n < kColumns; ++n) {
      sums[n] += weights[m] * Load(row + n * kLanes);
    }
  }
#pragma GCC unroll 8
  for (size_t n = 0; n < kColumns; ++n) {
    Store(Load(out + n * kLanes) + sums[n], out + n * kLanes);
  }
}

void WeightedSum(const float* z, size_t ldz, const uint32_t* places, size_t rows, size_t columns, const float* weights,
                 float* out) {
  size_t i = 0;
  for (; i + 8 * kLanes <= columns; i += 8 * kLanes) {
    WeightedSumOf<8>(z + i, ldz, places, rows, weights, out + i);
  }
  for (; i + kLanes <= columns; i += kLanes) {
    WeightedSumOf<1>(z + i, ldz, places, rows, weights, out + i);
  }
  for (; i < columns; ++i) {
    float sum = 0;
    for (size_t m = 0; m < rows; ++m) {
      sum += weights[m] * z[(places == nullptr ? m : places[m]) * ldz + i];
    }
    out[i] += sum;
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
const Kernels TRIBUTARY_KERNELS = {
    TRIBUTARY_INSTRUCTION_SET, kPanel,      kLanes,   Multiply,    OuterGram,     CholeskySolve,
    CholeskySolveLanes,        InverseRoot, ScaleRow, WeightedSum, InnerProducts, FindAtLeast};

}  // namespace tributary::dense
