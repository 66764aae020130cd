#ifndef TRIBUTARY_BATCH_LAYER_MODELS_INVERSE_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_INVERSE_H_

#include "common/dense/factors.h"

namespace tributary::batch {

// The inverse of a symmetric positive definite matrix, in its place: `matrix` is n x n, its upper triangle (columns >= row)
// is read and written. By the sweep operator (Goodnight 1979), a block of pivots at a time; n^3 operations. The same bits on
// any number of threads.
void InvertInPlace(Factors* matrix, int threads);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_INVERSE_H_
