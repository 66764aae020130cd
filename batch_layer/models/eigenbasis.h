#ifndef TRIBUTARY_BATCH_LAYER_MODELS_EIGENBASIS_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_EIGENBASIS_H_

#include <vector>

#include "common/dense/factors.h"

namespace tributary::batch {

// Rotates factors H into the eigenbasis of their Gramian: H := H Q with H'H = Q diag(e) Q'. Returns e, ascending, >= 0.
// Inner products of its rows stay what they were. The same bits on any number of threads.
std::vector<float> RotateIntoEigenbasis(Factors* factors, int threads);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_EIGENBASIS_H_
