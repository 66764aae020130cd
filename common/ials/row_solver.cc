#include "common/ials/row_solver.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tributary {
namespace {

constexpr float kWoodburyShare = 0.75f;
constexpr size_t kUpdateRows = 256;         // Rank of one update of the Cholesky path.
constexpr size_t kPrefetchDistance = 2;     // Rows.
constexpr size_t kLineFloats = 16;          // In a cache line.

}  // namespace

float IalsLoss::Regularizer(size_t observations, uint32_t others) const {
  const float mass = static_cast<float>(observations) + unobserved_weight * static_cast<float>(others);
  return regularization * (regularization_exponent == 1 ? mass : std::pow(mass, regularization_exponent));
}

IalsRowSolver::IalsRowSolver(const Factors& fixed, std::vector<float> eigenvalues, const IalsLoss& loss,
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

void IalsRowSolver::Solve(absl::Span<const uint32_t> columns, absl::Span<const float> weights, Workspace* workspace,
                          absl::Span<float> result, Method method) const {
  if (columns.empty()) {
    std::fill(result.begin(), result.end(), 0.0f);
    return;
  }
  const float regularizer = loss_.Regularizer(columns.size(), fixed_.rows());
  const bool few = static_cast<float>(columns.size()) < kWoodburyShare * static_cast<float>(fixed_.dimensions());
  if (method == Method::kWoodbury || (method == Method::kFaster && few)) {
    SolveWoodbury(columns, weights, regularizer, *workspace, result.data());
  } else {
    SolveCholesky(columns, weights, regularizer, *workspace, result.data());
  }
}

void IalsRowSolver::SolveWoodbury(absl::Span<const uint32_t> columns, absl::Span<const float> weights, float regularizer,
                                  Workspace& workspace, float* result) const {
  const size_t k = columns.size();
  const auto d = static_cast<size_t>(fixed_.dimensions());
  const size_t ld = dense::PaddedRow(k);
  workspace.scale.resize(d);
  workspace.rows.resize(std::max(workspace.rows.size(), k * d));
  workspace.system.resize(std::max(workspace.system.size(), (k + 1) * ld));
  workspace.right.resize(k);
  float* const scale = workspace.scale.data();
  float* const rows = workspace.rows.data();
  float* const system = workspace.system.data();
  float* const right = workspace.right.data();

  kernels_.inverse_root(weighted_eigenvalues_.data(), regularizer, d, scale);
  for (size_t i = 0; i < k; ++i) {
    if (i + kPrefetchDistance < k) {
      Prefetch(columns[i + kPrefetchDistance]);
    }
    right[i] = std::sqrt(weights[i]);
    kernels_.scale_row(fixed_.row(columns[i]).data(), scale, right[i], d, rows + i * d);
  }
  kernels_.outer_gram(rows, d, k, d, system, ld);
  for (size_t i = 0; i < k; ++i) {
    system[i * ld + i] += 1;
  }
  kernels_.cholesky_solve(system, ld, k, right);
  std::fill(result, result + d, 0.0f);
  kernels_.weighted_sum(rows, d, k, d, right, result);
  kernels_.scale_row(result, scale, 1, d, result);
}

void IalsRowSolver::SolveCholesky(absl::Span<const uint32_t> columns, absl::Span<const float> weights, float regularizer,
                                  Workspace& workspace, float* result) const {
  const size_t k = columns.size();
  const auto d = static_cast<size_t>(fixed_.dimensions());
  const size_t ld = dense::PaddedRow(d);
  const size_t chunk = std::min(k, kUpdateRows);
  workspace.scale.assign(d, 1.0f);
  workspace.rows.resize(std::max(workspace.rows.size(), chunk * d));
  workspace.system.assign((d + 1) * ld, 0.0f);
  workspace.right.resize(chunk);
  float* const rows = workspace.rows.data();
  float* const system = workspace.system.data();

  std::fill(result, result + d, 0.0f);
  for (size_t begin = 0; begin < k; begin += kUpdateRows) {
    const size_t count = std::min(kUpdateRows, k - begin);
    for (size_t i = 0; i < count; ++i) {
      if (begin + i + kPrefetchDistance < k) {
        Prefetch(columns[begin + i + kPrefetchDistance]);
      }
      workspace.right[i] = std::sqrt(weights[begin + i]);
      kernels_.scale_row(fixed_.row(columns[begin + i]).data(), workspace.scale.data(), workspace.right[i], d, rows + i * d);
    }
    workspace.gram.Add(rows, d, count, d, system, ld, kernels_);
    kernels_.weighted_sum(rows, d, count, d, workspace.right.data(), result);
  }
  for (size_t i = 0; i < d; ++i) {
    system[i * ld + i] += weighted_eigenvalues_[i] + regularizer;
  }
  kernels_.cholesky_solve(system, ld, d, result);
}

}  // namespace tributary
