#ifndef TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "batch_layer/models/factors.h"
#include "batch_layer/models/interaction_matrix.h"

// Exact implicit alternating least squares (Rendle, Krichene, Zhang, Koren: "Revisiting the Performance of iALS on Item
// Recommendation Benchmarks", 2021), with graded observations:
//
//   L = sum over observed (u, i) of c_ui (1 - w_u.h_i)^2  +  a0 sum over all (u, i) of (w_u.h_i)^2
//     + l sum_u (k_u + a0 |I|)^nu |w_u|^2  +  l sum_i (k_i + a0 |U|)^nu |h_i|^2        k = number of observations
//
// fp32. Results do not depend on the number of threads, bit for bit.
namespace tributary::batch {

struct IalsOptions {
  int dimensions = 64;                   // d, 1 to 4,096.
  int epochs = 8;                        // >= 1. An epoch solves all users, then all items.
  float unobserved_weight = 0.1f;        // a0 > 0. a0 |I| of 500 to 1,000 is a good start.
  float regularization = 0.005f;         // l > 0.
  float regularization_exponent = 1;     // nu >= 0.
  uint64_t seed = 1;
  int threads = 1;                       // >= 1.
};

struct IalsModel {
  Factors users;
  Factors items;
};

// Item factors N(0, 0.1 / sqrt d), each value a function of (seed, item, dimension) alone; users zero, since the first half
// step solves them. InvalidArgument names the option that is out of range.
absl::StatusOr<IalsModel> StartIals(const InteractionMatrix& matrix, const IalsOptions& options);
// One epoch. `model` as StartIals or an earlier epoch with the same options left it. Internal: the factors are no longer
// finite.
absl::Status RunIalsEpoch(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model);
// StartIals and all epochs.
absl::StatusOr<IalsModel> TrainIals(const InteractionMatrix& matrix, const IalsOptions& options);
// L, summed in double. For tests and for watching a training.
double IalsLoss(const InteractionMatrix& matrix, const IalsOptions& options, const IalsModel& model);

// Solves rows of one side against the factors of the other: every user of a half step, or one user who is folded in.
//
// The Gramian's eigenbasis makes its part of every row's system diagonal, once: G = Q diag(e) Q', H' = H Q,
// D = diag(a0 e + r)^-1 with the row's regulariser r. Then for k observations S with weights c,
//   k < 0.75 d: Z = sqrt(c) H'_S D^(1/2); (I + Z Z') y = sqrt(c); w = Q D^(1/2) Z' y     (Woodbury; k^2 d + k^3 / 3)
//   else:       (D^-1 + H'_S' diag(c) H'_S) w' = H'_S' c by Cholesky; w = Q w'           (k d^2 + d^3 / 3)
// Threads: immutable; each thread needs its own Workspace.
class IalsRowSolver {
 public:
  enum class Method { kFaster, kWoodbury, kCholesky };
  class Workspace {
   public:
    Workspace();
    ~Workspace();
    Workspace(Workspace&&) noexcept;

   private:
    friend class IalsRowSolver;
    struct Buffers;
    std::unique_ptr<Buffers> buffers_;
  };

  // `fixed` is copied (rotated). `options` as of the training.
  IalsRowSolver(const Factors& fixed, const IalsOptions& options);
  ~IalsRowSolver();
  IalsRowSolver(IalsRowSolver&&) noexcept;

  // The factors that are best for one row. `columns` (distinct, below fixed.rows()) and `weights` (finite, > 0) are as long
  // as each other; none: zeros. `result`: d values.
  void Solve(absl::Span<const uint32_t> columns, absl::Span<const float> weights, Workspace* workspace,
             absl::Span<float> result, Method method = Method::kFaster) const;

 private:
  struct Basis;
  std::unique_ptr<const Basis> basis_;
};

// A half step on rows [begin, end) of `observations` (their columns number the solver's fixed side) into the same rows of
// `result`.
void SolveIalsRows(const IalsRowSolver& solver, const SparseRows& observations, uint32_t begin, uint32_t end, int threads,
                   Factors* result);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_
