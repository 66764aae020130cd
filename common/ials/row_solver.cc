#include "common/ials/row_solver.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tributary {
namespace {

constexpr float kWoodburyShare = 0.75f;
constexpr size_t kBatchObservations = 64;   // Longer rows keep a core busy alone.
constexpr size_t kUpdateRows = 256;         // Rank of one update of the Cholesky path.
constexpr size_t kPrefetchDistance = 2;     // Rows.
constexpr size_t kLineFloats = 16;          // In a cache line.

}  // namespace

float IalsLoss::Regularizer(size_t observations, uint32_t others) const {
  const float mass = static_cast<float>(observations) + unobserved_weight * static_cast<float>(others);
  return regularization * (regularization_exponent == 1 ? mass : std::pow(mass, regularization_exponent));
}

IalsRowSolver::IalsRowSolver(FactorsView fixed, std::vector<float> eigenvalues, const IalsLoss& loss,
                             const dense::Kernels& kernels)
    : fixed_(fixed), loss_(loss), kernels_(kernels), weighted_eigenvalues_(std::move(eigenvalues)) {
  for (float& value : weighted_eigenvalues_) {
    value *= loss.unobserved_weight;
  }
}

void IalsRowSolver::Prefetch(uint32_t column) const {
  const absl::Span<const float> row = fixed_.row(column);
  for (size_t i = 0; i < row.size(); i += kLineFloats) {
    __builtin_prefetch(row.data() + i);
  }
}

void IalsRowSolver::Solve(absl::Span<const Row> rows, Workspace* workspace, Method method) const {
  std::vector<const Row*>& batch = workspace->batch;
  batch.clear();
  for (const Row& row : rows) {
    const size_t k = row.columns.size();
    const bool few = static_cast<float>(k) < kWoodburyShare * static_cast<float>(fixed_.dimensions());
    if (k == 0) {
      std::fill(row.result.begin(), row.result.end(), 0.0f);
    } else if (method == Method::kCholesky || (method == Method::kFaster && !few)) {
      SolveCholesky(row, *workspace);
    } else if (k > kBatchObservations) {
      SolveWoodbury(row, *workspace);
    } else {
      batch.push_back(&row);
      if (batch.size() == kernels_.lanes) {
        SolveBatch(batch, *workspace);
        batch.clear();
      }
    }
  }
  if (!batch.empty()) {
    SolveBatch(batch, *workspace);
  }
}

void IalsRowSolver::Gather(const Row& row, size_t begin, size_t count, const float* scale, Workspace& workspace) const {
  const auto d = static_cast<size_t>(fixed_.dimensions());
  workspace.rows.resize(std::max(workspace.rows.size(), count * d));
  workspace.right.resize(std::max(workspace.right.size(), count));
  for (size_t i = 0; i < count; ++i) {
    const size_t at = begin + i;
    if (at + kPrefetchDistance < row.columns.size()) {
      Prefetch(row.columns[at + kPrefetchDistance]);
    }
    workspace.right[i] = std::sqrt(row.weights[at]);
    kernels_.scale_row(fixed_.row(row.columns[at]).data(), scale, workspace.right[i], d, &workspace.rows[i * d]);
  }
}

// The systems of short rows are too small to keep a core busy one by one, so the kernel solves some of them side by side.
// What a row's Z was is gone by then: w = D H_S' (sqrt(c) y).
void IalsRowSolver::SolveBatch(absl::Span<const Row* const> rows, Workspace& workspace) const {
  const auto d = static_cast<size_t>(fixed_.dimensions());
  const size_t lanes = kernels_.lanes;
  size_t n = 0;
  for (const Row* row : rows) {
    n = std::max(n, row->columns.size());
  }
  const size_t ld = (n + 1) * lanes;
  workspace.system.resize(std::max(workspace.system.size(), n * ld));
  workspace.scale.resize(d);
  float* const system = workspace.system.data();
  std::fill(system, system + n * ld, 0.0f);
  float* const scale = workspace.scale.data();
  size_t scaled = 0;   // Number of observations that `scale` is for.
  const auto scale_for = [&](size_t k) {
    if (k != scaled) {
      kernels_.inverse_root(weighted_eigenvalues_.data(), loss_.Regularizer(k, fixed_.rows()), d, scale);
      scaled = k;
    }
  };

  for (size_t lane = 0; lane < lanes; ++lane) {
    const size_t k = lane < rows.size() ? rows[lane]->columns.size() : 0;
    if (k > 0) {
      scale_for(k);
      Gather(*rows[lane], 0, k, scale, workspace);
      kernels_.outer_gram(workspace.rows.data(), d, k, d, system + lane, ld, lanes);
    }
    for (size_t i = 0; i < n; ++i) {
      system[i * ld + i * lanes + lane] += 1;
      system[i * ld + n * lanes + lane] = i < k ? workspace.right[i] : 0;
    }
  }
  kernels_.cholesky_solve_lanes(system, n);
  for (size_t lane = 0; lane < rows.size(); ++lane) {
    const Row& row = *rows[lane];
    const size_t k = row.columns.size();
    for (size_t i = 0; i < k; ++i) {
      workspace.right[i] = std::sqrt(row.weights[i]) * system[i * ld + n * lanes + lane];
    }
    scale_for(k);
    std::fill(row.result.begin(), row.result.end(), 0.0f);
    kernels_.weighted_sum(fixed_.data(), d, row.columns.data(), k, d, workspace.right.data(), row.result.data());
    kernels_.scale_row(row.result.data(), scale, 1, d, row.result.data());
    kernels_.scale_row(row.result.data(), scale, 1, d, row.result.data());
  }
}

void IalsRowSolver::SolveWoodbury(const Row& row, Workspace& workspace) const {
  const size_t k = row.columns.size();
  const auto d = static_cast<size_t>(fixed_.dimensions());
  const size_t ld = dense::PaddedRow(k);
  workspace.scale.resize(d);
  workspace.system.resize(std::max(workspace.system.size(), (k + 1) * ld));
  float* const system = workspace.system.data();
  float* const result = row.result.data();

  kernels_.inverse_root(weighted_eigenvalues_.data(), loss_.Regularizer(k, fixed_.rows()), d, workspace.scale.data());
  Gather(row, 0, k, workspace.scale.data(), workspace);
  kernels_.outer_gram(workspace.rows.data(), d, k, d, system, ld, 1);
  for (size_t i = 0; i < k; ++i) {
    system[i * ld + i] += 1;
  }
  kernels_.cholesky_solve(system, ld, k, workspace.right.data());
  std::fill(result, result + d, 0.0f);
  kernels_.weighted_sum(workspace.rows.data(), d, nullptr, k, d, workspace.right.data(), result);
  kernels_.scale_row(result, workspace.scale.data(), 1, d, result);
}

void IalsRowSolver::SolveCholesky(const Row& row, Workspace& workspace) const {
  const size_t k = row.columns.size();
  const auto d = static_cast<size_t>(fixed_.dimensions());
  const size_t ld = dense::PaddedRow(d);
  workspace.scale.assign(d, 1.0f);
  workspace.system.resize(std::max(workspace.system.size(), (d + 1) * ld));
  float* const system = workspace.system.data();
  std::fill(system, system + d * ld, 0.0f);
  float* const result = row.result.data();

  std::fill(result, result + d, 0.0f);
  for (size_t begin = 0; begin < k; begin += kUpdateRows) {
    const size_t count = std::min(kUpdateRows, k - begin);
    Gather(row, begin, count, workspace.scale.data(), workspace);
    workspace.gram.Add(workspace.rows.data(), d, count, d, system, ld, kernels_);
    kernels_.weighted_sum(workspace.rows.data(), d, nullptr, count, d, workspace.right.data(), result);
  }
  const float regularizer = loss_.Regularizer(k, fixed_.rows());
  for (size_t i = 0; i < d; ++i) {
    system[i * ld + i] += weighted_eigenvalues_[i] + regularizer;
  }
  kernels_.cholesky_solve(system, ld, d, result);
}

}  // namespace tributary
