#include "batch_layer/models/eigenbasis.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cstddef>
#include <utility>

#include "batch_layer/models/parallel.h"
#include "common/dense/dense.h"

namespace tributary::batch {
namespace {

// Grids of the parallel loops. Those of the Gramian are part of the result's bits: each slice has a sum of its own.
constexpr size_t kGramSlices = 16;
constexpr size_t kLeastGramRows = 1024;
constexpr size_t kRotateRows = 96;

using Gramian = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The upper triangle of H'H.
Gramian GramianOf(const Factors& factors, int threads) {
  const size_t rows = factors.rows();
  const auto d = static_cast<size_t>(factors.dimensions());
  const size_t slice = std::max(kLeastGramRows, (rows + kGramSlices - 1) / kGramSlices);
  std::vector<Gramian> sums(std::max<size_t>(1, (rows + slice - 1) / slice));
  sums[0].setZero(factors.dimensions(), factors.dimensions());
  ForEachBlock(rows, slice, threads, [&](size_t begin, size_t end, int) {
    Gramian& sum = sums[begin / slice];
    sum.setZero(factors.dimensions(), factors.dimensions());
    dense::GramSum().Add(factors.data() + begin * d, d, end - begin, d, sum.data(), d);
  });
  for (size_t i = 1; i < sums.size(); ++i) {
    sums[0] += sums[i];
  }
  return std::move(sums[0]);
}

}  // namespace

std::vector<float> RotateIntoEigenbasis(Factors* factors, int threads) {
  const auto d = static_cast<size_t>(factors->dimensions());
  // The solver reads the lower triangle of what it is given: of the transpose.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf> eigen(GramianOf(*factors, threads).transpose());
  const dense::RightSide basis = dense::RightSide::FromColumns(eigen.eigenvectors().data(), d, d, d);
  ForEachBlock(factors->rows(), kRotateRows, threads, [&](size_t begin, size_t end, int) {
    std::vector<float> rotated((end - begin) * d);
    float* const rows = factors->data() + begin * d;
    basis.Multiply(rows, d, end - begin, 0, d, rotated.data(), d);
    std::copy(rotated.begin(), rotated.end(), rows);
  });
  std::vector<float> eigenvalues(d);
  for (size_t i = 0; i < d; ++i) {
    // The Gramian has no negative eigenvalue; rounding does.
    eigenvalues[i] = std::max(0.0f, eigen.eigenvalues()[static_cast<Eigen::Index>(i)]);
  }
  return eigenvalues;
}

}  // namespace tributary::batch
