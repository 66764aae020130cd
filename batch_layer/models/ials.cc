#include "batch_layer/models/ials.h"

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/models/eigenbasis.h"
#include "batch_layer/models/parallel.h"
#include "batch_layer/models/random_normal.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;
using FactorMap = Eigen::Map<const RowMajor>;

constexpr float kInitialDeviation = 0.1f;

FactorMap Map(const Factors& factors) { return {factors.data(), Index{factors.rows()}, Index{factors.dimensions()}}; }

absl::Status CheckOptions(const IalsOptions& options) {
  const auto positive = [](float value) { return std::isfinite(value) && value > 0; };
  if (options.dimensions < 1 || options.dimensions > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: dimensions=", options.dimensions));
  }
  if (options.epochs < 1) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: epochs=", options.epochs));
  }
  if (!positive(options.loss.unobserved_weight)) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: unobserved_weight=", options.loss.unobserved_weight));
  }
  if (!positive(options.loss.regularization)) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: regularization=", options.loss.regularization));
  }
  if (!std::isfinite(options.loss.regularization_exponent) || options.loss.regularization_exponent < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("iALS option out of range: regularization_exponent=", options.loss.regularization_exponent));
  }
  if (options.threads < 1) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: threads=", options.threads));
  }
  return absl::OkStatus();
}

// One half step. Rotates the fixed side; returns its eigenvalues.
std::vector<float> SolveSide(const SparseRows& observations, const IalsOptions& options, Factors* fixed, Factors* solved) {
  std::vector<float> eigenvalues = RotateIntoEigenbasis(fixed, options.threads);
  SolveIalsRows(IalsRowSolver(*fixed, eigenvalues, options.loss), observations, 0, observations.rows(), options.threads,
                solved);
  return eigenvalues;
}

bool AllFinite(const Factors& factors) {
  constexpr uint32_t kExponent = 0x7f800000;   // All its bits: an infinity or not a number.
  uint32_t bad = 0;
  for (size_t i = 0; i < factors.rows() * static_cast<size_t>(factors.dimensions()); ++i) {
    bad |= (std::bit_cast<uint32_t>(factors.data()[i]) & kExponent) == kExponent;
  }
  return bad == 0;
}

absl::Status CheckFinite(const IalsOptions& options, const IalsModel& model) {
  if (!AllFinite(model.users) || !AllFinite(model.items)) {
    return absl::InternalError(absl::StrCat("iALS factors are not finite: dimensions=", options.dimensions,
                                            " regularization=", options.loss.regularization));
  }
  return absl::OkStatus();
}

}  // namespace

void SolveIalsRows(const IalsRowSolver& solver, const SparseRows& observations, uint32_t begin, uint32_t end, int threads,
                   Factors* result) {
  // The longest first: the threads end together, and rows of a block are about as long as each other.
  std::vector<uint32_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return observations.row(a).size() > observations.row(b).size(); });
  struct Worker {
    IalsRowSolver::Workspace workspace;
    std::vector<IalsRowSolver::Row> rows;
  };
  std::vector<Worker> workers(static_cast<size_t>(threads));
  ForEachBlock(order.size(), solver.batch_rows(), threads, [&](size_t first, size_t last, int worker) {
    auto& [workspace, rows] = workers[static_cast<size_t>(worker)];
    rows.clear();
    for (size_t i = first; i < last; ++i) {
      const SparseRows::Row observed = observations.row(order[i]);
      rows.push_back({observed.columns, observed.weights, result->row(order[i])});
    }
    solver.Solve(rows, &workspace);
  });
}

absl::StatusOr<IalsModel> StartIals(const InteractionMatrix& matrix, const IalsOptions& options) {
  TRIBUTARY_RETURN_IF_ERROR(CheckOptions(options));
  const float deviation = kInitialDeviation / std::sqrt(static_cast<float>(options.dimensions));
  return IalsModel{Factors(matrix.rows(), options.dimensions),
                   RandomNormal(matrix.items(), options.dimensions, deviation, options.seed), {}};
}

absl::Status RunIalsEpoch(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model) {
  SolveSide(matrix.by_row(), options, &model->items, &model->users);
  SolveSide(matrix.by_item(), options, &model->users, &model->items);
  return CheckFinite(options, *model);
}

absl::Status FinishIals(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model) {
  model->item_eigenvalues = SolveSide(matrix.by_row(), options, &model->items, &model->users);
  return CheckFinite(options, *model);
}

absl::StatusOr<IalsModel> TrainIals(const InteractionMatrix& matrix, const IalsOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(IalsModel model, StartIals(matrix, options));
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    TRIBUTARY_RETURN_IF_ERROR(RunIalsEpoch(matrix, options, &model));
  }
  TRIBUTARY_RETURN_IF_ERROR(FinishIals(matrix, options, &model));
  return model;
}

double IalsTotalLoss(const InteractionMatrix& matrix, const IalsOptions& options, const IalsModel& model) {
  const FactorMap users = Map(model.users);
  const FactorMap items = Map(model.items);
  double loss = 0;
  for (uint32_t u = 0; u < matrix.rows(); ++u) {
    const SparseRows::Row row = matrix.by_row().row(u);
    const Eigen::VectorXd w = users.row(Index{u}).transpose().cast<double>();
    for (size_t i = 0; i < row.size(); ++i) {
      const double error = 1 - items.row(Index{row.columns[i]}).cast<double>().dot(w);
      loss += double{row.weights[i]} * error * error;
    }
    loss += double{options.loss.Regularizer(row.size(), matrix.items())} * w.squaredNorm();
  }
  for (uint32_t i = 0; i < matrix.items(); ++i) {
    loss += double{options.loss.Regularizer(matrix.by_item().row(i).size(), matrix.rows())} *
            items.row(Index{i}).cast<double>().squaredNorm();
  }
  // The sum over all pairs is the inner product of the two Gramians.
  const Eigen::MatrixXd user_gram = users.cast<double>().transpose() * users.cast<double>();
  const Eigen::MatrixXd item_gram = items.cast<double>().transpose() * items.cast<double>();
  return loss + double{options.loss.unobserved_weight} * user_gram.cwiseProduct(item_gram).sum();
}

}  // namespace tributary::batch
