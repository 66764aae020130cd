#ifndef TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "batch_layer/models/interaction_matrix.h"
#include "common/dense/factors.h"
#include "common/ials/row_solver.h"

// Exact implicit alternating least squares (Rendle, Krichene, Zhang, Koren: "Revisiting the Performance of iALS on Item
// Recommendation Benchmarks", 2021, equations 1 to 4 with the frequency-scaled regularisation of equation 7), with graded
// observations:
//
//   L = sum over observed (u, i) of c_ui (1 - w_u.h_i)^2  +  a0 sum over all (u, i) of (w_u.h_i)^2
//     + l sum_u (k_u + a0 |I|)^nu |w_u|^2  +  l sum_i (k_i + a0 |U|)^nu |h_i|^2        k = number of observations
//
// L depends on inner products of users with items and on norms alone, so a rotation of both sides changes nothing: each half
// step works in the basis in which it is cheapest (common/ials/row_solver.h), and leaves both sides in that.
// fp32. Results do not depend on the number of threads, bit for bit.
namespace tributary::batch {

struct IalsOptions {
  int dimensions = 64;                   // d, 1 to 4,096.
  int epochs = 8;                        // >= 1. An epoch solves all users, then all items.
  IalsLoss loss;
  uint64_t seed = 1;
  int threads = 1;                       // >= 1.
};

struct IalsModel {
  Factors users;
  Factors items;
  // Set by FinishIals: with them `items` folds in a user (IalsRowSolver).
  std::vector<float> item_eigenvalues;
};

// Item factors N(0, 0.1 / sqrt d), each value a function of (seed, item, dimension) alone; users zero, since the first half
// step solves them. InvalidArgument names the option that is out of range.
absl::StatusOr<IalsModel> StartIals(const InteractionMatrix& matrix, const IalsOptions& options);
// One epoch. `model` as StartIals or an earlier epoch with the same options left it. Internal: the factors are no longer
// finite.
absl::Status RunIalsEpoch(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model);
// The users once more: every user's factors are then what folding in the user gives.
absl::Status FinishIals(const InteractionMatrix& matrix, const IalsOptions& options, IalsModel* model);
// StartIals, all epochs, FinishIals.
absl::StatusOr<IalsModel> TrainIals(const InteractionMatrix& matrix, const IalsOptions& options);
// L, summed in double. For tests and for watching a training.
double IalsTotalLoss(const InteractionMatrix& matrix, const IalsOptions& options, const IalsModel& model);

// A half step on rows [begin, end) of `observations` (their columns number the solver's fixed side) into the same rows of
// `result`.
void SolveIalsRows(const IalsRowSolver& solver, const SparseRows& observations, uint32_t begin, uint32_t end, int threads,
                   Factors* result);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_IALS_H_
