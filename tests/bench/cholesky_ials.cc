#include "tests/bench/cholesky_ials.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "batch_layer/models/parallel.h"

namespace tributary::bench {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void SolveSide(const batch::SparseRows& observations, const batch::IalsOptions& options, const Factors& fixed,
               Factors* solved) {
  const Eigen::Index d = fixed.dimensions();
  const Eigen::Map<const RowMajor> h(fixed.data(), fixed.rows(), d);
  const Eigen::MatrixXf gram = options.loss.unobserved_weight * (h.transpose() * h);
  batch::ForEachBlock(observations.rows(), 32, options.threads, [&](size_t begin, size_t end, int) {
    Eigen::MatrixXf system, rows;
    Eigen::VectorXf right(d);
    for (size_t i = begin; i < end; ++i) {
      const batch::SparseRows::Row row = observations.row(static_cast<uint32_t>(i));
      const auto k = static_cast<Eigen::Index>(row.size());
      rows.resize(d, k);
      right.setZero();
      for (Eigen::Index o = 0; o < k; ++o) {
        const auto at = static_cast<size_t>(o);
        rows.col(o) = std::sqrt(row.weights[at]) * h.row(row.columns[at]).transpose();
        right += row.weights[at] * h.row(row.columns[at]).transpose();
      }
      system = gram;
      system.diagonal().array() += options.loss.Regularizer(row.size(), fixed.rows());
      system.selfadjointView<Eigen::Lower>().rankUpdate(rows);
      const Eigen::LLT<Eigen::Ref<Eigen::MatrixXf>> cholesky(system);
      cholesky.solveInPlace(right);
      Eigen::Map<Eigen::VectorXf>(solved->row(static_cast<uint32_t>(i)).data(), d) = right;
    }
  });
}

}  // namespace

void RunCholeskyEpoch(const batch::InteractionMatrix& matrix, const batch::IalsOptions& options, batch::IalsModel* model) {
  SolveSide(matrix.by_row(), options, model->items, &model->users);
  SolveSide(matrix.by_item(), options, model->users, &model->items);
}

}  // namespace tributary::bench
