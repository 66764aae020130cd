#ifndef TRIBUTARY_BATCH_LAYER_MODELS_ITEM_ITEM_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_ITEM_ITEM_H_

#include <cstdint>

#include "batch_layer/models/interaction_matrix.h"
#include "common/dense/factors.h"

// Linear item-item models: score(u, j) = sum over the user's items i of S_ij. Additive in the user's items, so a new one
// adds a sparse row and a short vector. They learn from what was used, not how often: x_ui = 1.
// Results do not depend on the number of threads, bit for bit.
namespace tributary::batch {

// S_ij = links(i, j) + from(i) . to(j).
struct ItemItemModel {
  SparseRows links;   // items x items
  Factors from;       // items x r; r = 0: there is none.
  Factors to;
};

struct EaseOptions {
  float regularization = 500;   // l > 0.
  uint32_t links = 200;         // Kept of a row, those of the largest absolute weight.
  int threads = 1;
};

// EASE^R (Steck: "Embarrassingly Shallow Autoencoders for Sparse Data", 2019, equation 8):
//   P = (X'X + l I)^-1, S_ij = -P_ij / P_jj, S_jj = 0.
// n^3 operations and 4 n^2 bytes for n items: 2 s and 400 MB at 10,000 items on a few cores, for up to some 20,000.
ItemItemModel TrainEase(const InteractionMatrix& matrix, const EaseOptions& options);

struct GfCfOptions {
  int dimensions = 256;          // r of the ideal low-pass; cut to what the matrix has.
  float low_pass_weight = 0.3f;  // a >= 0.
  uint32_t links = 200;          // Kept of a row of the co-occurrence, the largest.
  uint64_t seed = 1;
  int threads = 1;
};

// GF-CF (Shen et al.: "How Powerful is Graph Convolution for Recommendation?", CIKM 2021, equation 9): with
// R = Du^-1/2 X Di^-1/2 (D: users' and items' numbers of observations),
//   S = R'R + a Di^-1/2 V V' Di^1/2,
// V an orthonormal basis of R's first r right singular vectors, by subspace iteration from a random start (Halko,
// Martinsson, Tropp 2011, algorithm 4.4). For catalogues of any size.
ItemItemModel TrainGfCf(const InteractionMatrix& matrix, const GfCfOptions& options);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_ITEM_ITEM_H_
