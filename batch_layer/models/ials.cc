#include "batch_layer/models/ials.h"

#include <xxhash.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/models/parallel.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;
using FactorMap = Eigen::Map<const RowMajor>;

// Grids of the parallel loops: part of the result's bits, so fixed.
constexpr size_t kRotateRows = 512;
constexpr size_t kGramColumns = 32;
constexpr size_t kSolveRows = 32;
constexpr Index kUpdateRows = 128;       // Rank of one update of the Cholesky path.
constexpr float kWoodburyShare = 0.75f;
constexpr float kInitialDeviation = 0.1f;

FactorMap Map(const Factors& factors) { return {factors.data(), Index{factors.rows()}, Index{factors.dimensions()}}; }

// A standard normal value that depends on its coordinates alone (Box-Muller on a counter's hash).
float Normal(uint64_t seed, uint32_t row, uint32_t column) {
  const std::array<uint32_t, 2> counter = {row, column};
  const XXH128_hash_t bits = XXH3_128bits_withSeed(counter.data(), sizeof(counter), seed);
  const double u = (static_cast<double>(bits.low64 >> 11) + 1) * 0x1p-53;   // (0, 1]
  const double v = static_cast<double>(bits.high64 >> 11) * 0x1p-53;        // [0, 1)
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
}

// H'H, in column blocks whose sums run over all rows.
MatrixXf Gramian(const Factors& factors, int threads) {
  const FactorMap h = Map(factors);
  MatrixXf gram(h.cols(), h.cols());
  ForEachBlock(static_cast<size_t>(h.cols()), kGramColumns, threads, [&](size_t begin, size_t end, int) {
    const auto first = static_cast<Index>(begin);
    const auto width = static_cast<Index>(end - begin);
    gram.block(0, first, first + width, width).noalias() =
        h.leftCols(first + width).transpose() * h.middleCols(first, width);
  });
  gram.triangularView<Eigen::StrictlyLower>() = gram.transpose();
  return gram;
}

float Regularizer(const IalsOptions& options, size_t observations, uint32_t others) {
  const float mass = static_cast<float>(observations) + options.unobserved_weight * static_cast<float>(others);
  return options.regularization * std::pow(mass, options.regularization_exponent);
}

absl::Status CheckOptions(const IalsOptions& options) {
  const auto positive = [](float value) { return std::isfinite(value) && value > 0; };
  if (options.dimensions < 1 || options.dimensions > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: dimensions=", options.dimensions));
  }
  if (options.epochs < 1) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: epochs=", options.epochs));
  }
  if (!positive(options.unobserved_weight)) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: unobserved_weight=", options.unobserved_weight));
  }
  if (!positive(options.regularization)) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: regularization=", options.regularization));
  }
  if (!std::isfinite(options.regularization_exponent) || options.regularization_exponent < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("iALS option out of range: regularization_exponent=", options.regularization_exponent));
  }
  if (options.threads < 1) {
    return absl::InvalidArgumentError(absl::StrCat("iALS option out of range: threads=", options.threads));
  }
  return absl::OkStatus();
}

}  // namespace

struct IalsRowSolver::Basis {
  IalsOptions options;
  VectorXf weighted_eigenvalues;   // a0 e, >= 0
  MatrixXf vectors;                // Q
  RowMajor rotated;                // H Q
};

struct IalsRowSolver::Workspace::Buffers {
  RowMajor rows;
  MatrixXf system;
  VectorXf right;
  VectorXf scale;
  VectorXf root;
};

IalsRowSolver::Workspace::Workspace() : buffers_(std::make_unique<Buffers>()) {}
IalsRowSolver::Workspace::~Workspace() = default;
IalsRowSolver::Workspace::Workspace(Workspace&&) noexcept = default;
IalsRowSolver::~IalsRowSolver() = default;
IalsRowSolver::IalsRowSolver(IalsRowSolver&&) noexcept = default;

IalsRowSolver::IalsRowSolver(const Factors& fixed, const IalsOptions& options) {
  auto basis = std::make_unique<Basis>();
  basis->options = options;
  const Eigen::SelfAdjointEigenSolver<MatrixXf> eigen(Gramian(fixed, options.threads));
  basis->vectors = eigen.eigenvectors();
  // The Gramian has no negative eigenvalue; rounding does.
  basis->weighted_eigenvalues = eigen.eigenvalues().cwiseMax(0.0f) * options.unobserved_weight;
  basis->rotated.resize(Index{fixed.rows()}, Index{fixed.dimensions()});
  ForEachBlock(fixed.rows(), kRotateRows, options.threads, [&](size_t begin, size_t end, int) {
    const auto first = static_cast<Index>(begin);
    const auto count = static_cast<Index>(end - begin);
    basis->rotated.middleRows(first, count).noalias() = Map(fixed).middleRows(first, count) * basis->vectors;
  });
  basis_ = std::move(basis);
}

void IalsRowSolver::Solve(absl::Span<const uint32_t> columns, absl::Span<const float> weights, Workspace* workspace,
                          absl::Span<float> result, Method method) const {
  if (columns.empty()) {
    std::fill(result.begin(), result.end(), 0.0f);
    return;
  }
  const Basis& basis = *basis_;
  const auto k = static_cast<Index>(columns.size());
  const Index d = basis.rotated.cols();
  const float r = Regularizer(basis.options, columns.size(), static_cast<uint32_t>(basis.rotated.rows()));
  Workspace::Buffers& b = *workspace->buffers_;
  b.scale = (basis.weighted_eigenvalues.array() + r).matrix();   // D^-1
  if (method == Method::kFaster) {
    method = static_cast<float>(k) < kWoodburyShare * static_cast<float>(d) ? Method::kWoodbury : Method::kCholesky;
  }
  if (method == Method::kWoodbury) {
    b.scale = b.scale.cwiseSqrt().cwiseInverse();
    b.root.resize(k);
    b.rows.resize(k, d);
    for (Index i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>(i);
      b.root[i] = std::sqrt(weights[at]);
      b.rows.row(i) = (basis.rotated.row(Index{columns[at]}).array() * b.scale.transpose().array()) * b.root[i];
    }
    b.system.setIdentity(k, k);
    b.system.selfadjointView<Eigen::Lower>().rankUpdate(b.rows);
    Eigen::LLT<Eigen::Ref<MatrixXf>> cholesky(b.system);
    cholesky.solveInPlace(b.root);
    b.right.noalias() = b.rows.transpose() * b.root;
    b.right.array() *= b.scale.array();
  } else {
    b.system.setZero(d, d);
    b.system.diagonal() = b.scale;
    b.right.setZero(d);
    for (Index begin = 0; begin < k; begin += kUpdateRows) {
      const Index count = std::min(kUpdateRows, k - begin);
      b.rows.resize(count, d);
      for (Index i = 0; i < count; ++i) {
        const auto at = static_cast<size_t>(begin + i);
        const auto row = basis.rotated.row(Index{columns[at]});
        b.right += weights[at] * row.transpose();
        b.rows.row(i) = std::sqrt(weights[at]) * row;
      }
      b.system.selfadjointView<Eigen::Lower>().rankUpdate(b.rows.transpose());
    }
    Eigen::LLT<Eigen::Ref<MatrixXf>> cholesky(b.system);
    cholesky.solveInPlace(b.right);
  }
  // Not straight into `result`: how Eigen rounds may depend on where in memory it writes.
  b.scale.noalias() = basis.vectors * b.right;
  std::copy(b.scale.data(), b.scale.data() + d, result.begin());
}

void SolveIalsRows(const IalsRowSolver& solver, const SparseRows& observations, uint32_t begin, uint32_t end, int threads,
                   Factors* result) {
  std::vector<IalsRowSolver::Workspace> workspaces(static_cast<size_t>(threads));
  ForEachBlock(end - begin, kSolveRows, threads, [&](size_t first, size_t last, int worker) {
    for (size_t i = first; i < last; ++i) {
      const uint32_t row = begin + static_cast<uint32_t>(i);
      const SparseRows::Row observed = observations.row(row);
      solver.Solve(observed.columns, observed.weights, &workspaces[static_cast<size_t>(worker)], result->row(row));
    }
  });
}

absl::StatusOr<IalsModel> StartIals(const InteractionMatrix& matrix, const IalsOptions& options) {
  TRIBUTARY_RETURN_IF_ERROR(CheckOptions(options));
  IalsModel model{Factors(matrix.rows(), options.dimensions), Factors(matrix.items(), options.dimensions)};
  const float deviation = kInitialDeviation / std::sqrt(static_cast<float>(options.dimensions));
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    uint32_t column = 0;
    for (float& value : model.items.row(item)) {
      value = deviation * Normal(options.seed, item, column++);
    }
  }
  return model;
}

absl::Status RunIalsEpoch(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model) {
  SolveIalsRows(IalsRowSolver(model->items, options), matrix.by_row(), 0, matrix.rows(), options.threads, &model->users);
  SolveIalsRows(IalsRowSolver(model->users, options), matrix.by_item(), 0, matrix.items(), options.threads, &model->items);
  if (!Map(model->users).allFinite() || !Map(model->items).allFinite()) {
    return absl::InternalError(absl::StrCat("iALS factors are not finite: dimensions=", options.dimensions,
                                            " regularization=", options.regularization));
  }
  return absl::OkStatus();
}

absl::StatusOr<IalsModel> TrainIals(const InteractionMatrix& matrix, const IalsOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(IalsModel model, StartIals(matrix, options));
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    TRIBUTARY_RETURN_IF_ERROR(RunIalsEpoch(matrix, options, &model));
  }
  return model;
}

double IalsLoss(const InteractionMatrix& matrix, const IalsOptions& options, const IalsModel& model) {
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
    loss += double{Regularizer(options, row.size(), matrix.items())} * w.squaredNorm();
  }
  for (uint32_t i = 0; i < matrix.items(); ++i) {
    loss += double{Regularizer(options, matrix.by_item().row(i).size(), matrix.rows())} *
            items.row(Index{i}).cast<double>().squaredNorm();
  }
  // The sum over all pairs is the inner product of the two Gramians.
  const Eigen::MatrixXd user_gram = users.cast<double>().transpose() * users.cast<double>();
  const Eigen::MatrixXd item_gram = items.cast<double>().transpose() * items.cast<double>();
  return loss + double{options.unobserved_weight} * user_gram.cwiseProduct(item_gram).sum();
}

}  // namespace tributary::batch
