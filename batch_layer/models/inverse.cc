#include "batch_layer/models/inverse.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <vector>

#include "batch_layer/models/parallel.h"
#include "common/dense/dense.h"

namespace tributary::batch {
namespace {

constexpr size_t kPivots = 192;
constexpr size_t kTileRows = 96;

using Pivots = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Block = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

// With K the block's pivots and D = A_KK, one sweep does
//   A_ij -= A_iK D^-1 A_Kj,   A_Kj := D^-1 A_Kj,   A_KK := -D^-1        (i, j outside K)
// and after all blocks A has become -A^-1.
void InvertInPlace(Factors* matrix, int threads) {
  const size_t n = matrix->rows();
  float* const a = matrix->data();
  std::vector<float> transposed;   // A_iK, n x K.
  for (size_t begin = 0; begin < n; begin += kPivots) {
    const size_t count = std::min(kPivots, n - begin);
    transposed.resize(n * count);
    ForEachBlock(n, kTileRows, threads, [&](size_t first, size_t last, int) {
      for (size_t i = first; i < last; ++i) {
        for (size_t k = 0; k < count; ++k) {
          const size_t pivot = begin + k;
          transposed[i * count + k] = i <= pivot ? a[i * n + pivot] : a[pivot * n + i];
        }
      }
    });
    Pivots pivots(count, count);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        pivots(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = transposed[(begin + i) * count + j];
      }
    }
    const auto size = static_cast<Eigen::Index>(count);
    const Block inverse = pivots.llt().solve(Pivots::Identity(size, size)).cast<float>();
    // A_iK D^-1, by rows: its transpose is D^-1 A_Kj.
    std::vector<float> swept(n * count);
    const dense::RightSide right_inverse = dense::RightSide::FromRows(inverse.data(), count, count, count);
    ForEachBlock(n, kTileRows, threads, [&](size_t first, size_t last, int) {
      right_inverse.Multiply(&transposed[first * count], count, last - first, 0, count, &swept[first * count], count);
    });
    const dense::RightSide right = dense::RightSide::FromColumns(swept.data(), count, count, n);
    ForEachBlock(n, kTileRows, threads, [&](size_t first, size_t last, int) {
      const size_t column = first / dense::RightSide::kAlignment * dense::RightSide::kAlignment;
      right.Multiply(&transposed[first * count], count, last - first, column, n, a + first * n + column, n,
                     dense::Update::kSubtract);
      for (size_t i = first; i < last; ++i) {
        for (size_t k = 0; k < count; ++k) {
          const size_t pivot = begin + k;
          if (i >= begin && i < begin + count) {
            a[i * n + pivot] = -inverse(static_cast<Eigen::Index>(i - begin), static_cast<Eigen::Index>(k));
          } else if (i < pivot) {
            a[i * n + pivot] = swept[i * count + k];
          }
        }
      }
    });
    // The rows of the pivots themselves, right of them.
    ForEachBlock(count, 1, threads, [&](size_t k, size_t, int) {
      float* const row = a + (begin + k) * n;
      for (size_t j = begin + count; j < n; ++j) {
        row[j] = swept[j * count + k];
      }
    });
  }
  ForEachBlock(n, kTileRows, threads, [&](size_t first, size_t last, int) {
    for (size_t i = first; i < last; ++i) {
      for (size_t j = i; j < n; ++j) {
        a[i * n + j] = -a[i * n + j];
      }
    }
  });
}

}  // namespace tributary::batch
