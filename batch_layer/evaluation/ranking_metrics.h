#ifndef TRIBUTARY_BATCH_LAYER_EVALUATION_RANKING_METRICS_H_
#define TRIBUTARY_BATCH_LAYER_EVALUATION_RANKING_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"

namespace tributary::batch {

// Means over users with held-out items of what their first K places are worth; n is a user's number of held-out items. A
// list shorter than K counts as one whose other places miss.
struct RankingMetrics {
  double recall = 0;             // hits / n
  double truncated_recall = 0;   // hits / min(K, n): papers call both Recall@K.
  double ndcg = 0;               // Binary: sum over hits of 1 / log2(rank + 1), over the same of min(K, n) hits in front.
  double hit_rate = 0;           // At least one hit.
  double mrr = 0;                // 1 / rank of the first hit.
  // Over all lists: the share of the items that appear at all, and the mean self-information -log2(users of the item / users)
  // of the places (Zhou et al. 2010), in bits. Items that nobody used count as used by one.
  double coverage = 0;
  double novelty = 0;
  int64_t users = 0;

  // Names such as recall_at_20, as the manifest has them, and values; all but `users`.
  std::vector<std::pair<std::string, double>> Named(size_t k) const;
};

// Of the metrics beside these: the share of what is served that the snapshot before would not have served. Says how
// much changed, not how good it is.
inline constexpr absl::string_view kNoveltyToPrevious = "novelty_to_previous";

// Sums up list after list. The order of users matters for the last bits only. Not thread-safe.
class RankingEvaluation {
 public:
  // `item_users`: by item, how many users of the training part have it; `train_users`: users in all. K >= 1.
  RankingEvaluation(size_t k, std::vector<uint32_t> item_users, uint32_t train_users);

  // `list`: best first. `held_out`: ascending; empty: the list counts for coverage and novelty alone.
  void Add(absl::Span<const ScoredItem> list, absl::Span<const uint32_t> held_out);

  RankingMetrics Means() const;

 private:
  const size_t k_;
  const std::vector<uint32_t> item_users_;
  const uint32_t train_users_;
  RankingMetrics sums_;
  std::vector<bool> shown_;   // By item.
  double places_ = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_EVALUATION_RANKING_METRICS_H_
