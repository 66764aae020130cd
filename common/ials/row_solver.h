#ifndef TRIBUTARY_COMMON_IALS_ROW_SOLVER_H_
#define TRIBUTARY_COMMON_IALS_ROW_SOLVER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/dense/dense.h"
#include "common/dense/factors.h"

namespace tributary {

// The part of the iALS loss that a row's solution depends on (Rendle, Krichene, Zhang, Koren: "Revisiting the Performance
// of iALS on Item Recommendation Benchmarks", 2021, equations 1 to 4), with graded observations:
//
//   sum over observed i of c_i (1 - w.h_i)^2  +  a0 sum over all n of (w.h_i)^2  +  l (k + a0 n)^nu |w|^2
struct IalsLoss {
  float unobserved_weight = 0.1f;        // a0 > 0. a0 n of 500 to 1,000 is a good start.
  float regularization = 0.005f;         // l > 0.
  float regularization_exponent = 1;     // nu >= 0.

  // r = l (k + a0 n)^nu, for k observations of n.
  float Regularizer(size_t observations, uint32_t others) const;
};

// Solves rows of one side exactly against the fixed factors of the other: every row of a half step of the training, or one
// user who is folded in.
//
// The fixed factors H are given in the eigenbasis of their Gramian, where H'H = diag(e), so that its part of every row's
// system is diagonal: D = diag(a0 e + r)^-1 with the row's regulariser r. For k observations S with weights c,
//   k < 0.75 d: Z = sqrt(c) H_S D^(1/2); (I + Z Z') y = sqrt(c); w = D^(1/2) Z' y        (Woodbury; k^2 d + k^3 / 3)
//   else:       (D^-1 + H_S' diag(c) H_S) w = H_S' c by Cholesky                         (k d^2 + d^3 / 3)
// The solution is in the same basis: its inner products with H are what they are in any other.
// Threads: immutable; each thread needs its own Workspace.
class IalsRowSolver {
 public:
  enum class Method { kFaster, kWoodbury, kCholesky };
  // `columns` (distinct, below fixed.rows()) and `weights` (finite, > 0) are as long as each other; none: zeros.
  struct Row {
    absl::Span<const uint32_t> columns;
    absl::Span<const float> weights;
    absl::Span<float> result;            // d values: the factors that are best for the row.
  };
  class Workspace {
    friend class IalsRowSolver;
    std::vector<float> rows, system, right, scale;
    std::vector<const Row*> batch;
    dense::GramSum gram;
  };

  // Borrows what `fixed` shows. `eigenvalues`: e, d of them, >= 0.
  IalsRowSolver(FactorsView fixed, std::vector<float> eigenvalues, const IalsLoss& loss,
                const dense::Kernels& kernels = dense::Best());

  // A row's result does not depend on the other rows. Fastest with `batch_rows()` rows of about equal length.
  void Solve(absl::Span<const Row> rows, Workspace* workspace, Method method = Method::kFaster) const;
  size_t batch_rows() const { return kernels_.lanes; }

 private:
  void SolveBatch(absl::Span<const Row* const> rows, Workspace& workspace) const;
  void SolveWoodbury(const Row& row, Workspace& workspace) const;
  void SolveCholesky(const Row& row, Workspace& workspace) const;
  // Z of `row`, into the workspace; `scale`: D^(1/2).
  void Gather(const Row& row, size_t begin, size_t count, const float* scale, Workspace& workspace) const;
  void Prefetch(uint32_t column) const;

  const FactorsView fixed_;
  const IalsLoss loss_;
  const dense::Kernels& kernels_;
  std::vector<float> weighted_eigenvalues_;   // a0 e
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_IALS_ROW_SOLVER_H_
