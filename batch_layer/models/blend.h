#ifndef TRIBUTARY_BATCH_LAYER_MODELS_BLEND_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_BLEND_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/models/ials.h"
#include "batch_layer/models/interaction_matrix.h"
#include "batch_layer/models/item_item.h"
#include "batch_layer/models/top_n.h"
#include "common/dense/dense.h"
#include "common/ids/ids.h"

namespace tributary::batch {

// Two models as one score, each measured in its own standard deviations over the items for this user (what a z-score also
// takes away, the mean, does not change a user's ranking, and scores stay positive where the models' are):
//
//   score(u, j) = v s_ials(u, j) / sd_ials(u) + (1 - v) s_item(u, j) / sd_item(u)        v in [0, 1]
//
// sd_item is that of the sum over the links, without the low-pass part. A deviation of 0 counts as 1.
// Borrows its arguments. Threads: immutable.
class Blend {
 public:
  // `matrix`: what both models learned from.
  Blend(const InteractionMatrix& matrix, const IalsModel& ials, const ItemItemModel& item_item);

  // The best n items of each of `users`, as ScoreTopN. `exclude_own`: not what the user has in the matrix. Users and
  // threads change no bit of another user's list. Memory: 16 MB a thread, or 48 bytes an item if that is more.
  std::vector<std::vector<ScoredItem>> TopN(absl::Span<const uint32_t> users, float ials_weight, size_t n, bool exclude_own,
                                            int threads) const;

 private:
  // `scores`: the user's row over all items; what the links say of them. `vector`: what Multiply adds the rest with.
  void Prepare(uint32_t user, float ials_weight, absl::Span<float> scores, absl::Span<float> vector) const;

  const InteractionMatrix& matrix_;
  const IalsModel& ials_;
  const ItemItemModel& item_item_;
  std::vector<double> mean_item_;      // Of the items' iALS factors.
  dense::RightSide items_;             // Factors of both models, one below the other.
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_BLEND_H_
