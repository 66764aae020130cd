#ifndef TRIBUTARY_TESTS_BENCH_CHOLESKY_IALS_H_
#define TRIBUTARY_TESTS_BENCH_CHOLESKY_IALS_H_

#include "batch_layer/models/ials.h"

namespace tributary::bench {

// One epoch of iALS as the paper writes it: for each row the d x d system, by a rank-k update of the Gramian, and its
// Cholesky solution with Eigen. The reference for speed and for results.
void RunCholeskyEpoch(const batch::InteractionMatrix& matrix, const batch::IalsOptions& options, batch::IalsModel* model);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_CHOLESKY_IALS_H_
