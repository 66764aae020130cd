#ifndef TRIBUTARY_COMMON_IALS_FOLD_IN_H_
#define TRIBUTARY_COMMON_IALS_FOLD_IN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/dense/compact_factors.h"
#include "common/dense/factors.h"
#include "common/ials/row_solver.h"
#include "common/ids/ids.h"

namespace tributary {

// A user's iALS list from what the user did, as a training that knew it would give it with the items as they are: the
// row solution of common/ials/row_solver.h, bit for bit that of the batch layer, and the inner products with all items.
// Cost: the row's solution (some 20 microseconds for 30 items at d = 256), and a pass over the items in their compact form,
// d + 12 bytes each (common/dense/compact_factors.h), which is made here.
// Threads: immutable; each thread needs its own Scratch.
class IalsFoldIn {
 public:
  class Scratch {
    friend class IalsFoldIn;
    IalsRowSolver::Workspace workspace;
    std::vector<float> user;
    CompactFactors::Scratch top;
  };

  // As IalsRowSolver: `items` in the eigenbasis of their Gramian, `eigenvalues` of that. Borrows what `items` shows.
  IalsFoldIn(FactorsView items, std::vector<float> eigenvalues, const IalsLoss& loss);

  // The best n items (n >= 1), best first, ties by smaller item, scores max(0, inner product). `columns` (ascending,
  // distinct, below the number of items) and `weights` (finite, > 0) are as long as each other; without any, nothing is
  // known, and the list is empty. `exclude_own`: without `columns` themselves.
  std::vector<ScoredItem> List(absl::Span<const uint32_t> columns, absl::Span<const float> weights, size_t n,
                               bool exclude_own, Scratch* scratch) const;
  int64_t compact_bytes() const { return items_.bytes(); }

 private:
  const size_t dimensions_;
  const CompactFactors items_;
  const IalsRowSolver solver_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_IALS_FOLD_IN_H_
