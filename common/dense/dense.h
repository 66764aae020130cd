#ifndef TRIBUTARY_COMMON_DENSE_DENSE_H_
#define TRIBUTARY_COMMON_DENSE_DENSE_H_

#include <cstddef>
#include <vector>

#include "common/dense/kernels.h"

// Products of dense fp32 matrices on one thread, blocked for the caches. Row-major; `ld` is the distance of two rows.
// An element of a result does not depend on which rows and columns are computed in one call.
namespace tributary::dense {

// Those of the best instruction set that this machine has.
const Kernels& Best();
// All that this machine can run, for tests.
std::vector<const Kernels*> Runnable();

// The right side B (depth x columns) of products, laid out for the kernels. Threads: immutable.
class RightSide {
 public:
  // B's rows are `b`'s.
  static RightSide FromRows(const float* b, size_t ldb, size_t depth, size_t columns, const Kernels& kernels = Best());
  // B's columns are `rows`' rows: for inner products of rows with rows.
  static RightSide FromColumns(const float* rows, size_t ldr, size_t depth, size_t columns, const Kernels& kernels = Best());

  size_t depth() const { return depth_; }
  size_t columns() const { return columns_; }

  // C (rows x (end - begin)) =, += or -= A B[:, begin:end), A being rows x depth. `begin` is a multiple of kAlignment.
  static constexpr size_t kAlignment = 32;   // Of every instruction set's panels.
  void Multiply(const float* a, size_t lda, size_t rows, size_t begin, size_t end, float* c, size_t ldc,
                Update update = Update::kStore) const;

 private:
  RightSide(size_t depth, size_t columns, const Kernels& kernels);

  size_t depth_ = 0;
  size_t columns_ = 0;
  const Kernels* kernels_;
  std::vector<float> panels_;   // Panel after panel, each depth x panel_width, zeros beyond the last column.
};

// Sums of R'R: Gramians, and rank-k updates of a Cholesky system.
class GramSum {
 public:
  // The upper triangle of C (columns x columns) += R'R, R being rows x columns. What is below the diagonal is undefined.
  void Add(const float* r, size_t ldr, size_t rows, size_t columns, float* c, size_t ldc, const Kernels& kernels = Best());

 private:
  std::vector<float> panels_;
};

// The distance of rows for a matrix of n columns that kernels work on in place: room to read a panel beyond the last
// column, and not a multiple of a power of two that would make rows share cache lines' places.
constexpr size_t PaddedRow(size_t n) { return (n / 16 + 3) * 16 + 8; }

}  // namespace tributary::dense

#endif  // TRIBUTARY_COMMON_DENSE_DENSE_H_
