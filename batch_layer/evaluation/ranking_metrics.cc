#include "batch_layer/evaluation/ranking_metrics.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace tributary::batch {

std::vector<std::pair<std::string, double>> RankingMetrics::Named(size_t k) const {
  std::vector<std::pair<std::string, double>> named = {{"recall", recall},
                                                       {"truncated_recall", truncated_recall},
                                                       {"ndcg", ndcg},
                                                       {"hit_rate", hit_rate},
                                                       {"mrr", mrr},
                                                       {"coverage", coverage},
                                                       {"novelty", novelty}};
  for (auto& [name, value] : named) {
    absl::StrAppend(&name, "_at_", k);
  }
  return named;
}

RankingEvaluation::RankingEvaluation(size_t k, std::vector<uint32_t> item_users, uint32_t train_users)
    : k_(k), item_users_(std::move(item_users)), train_users_(train_users), shown_(item_users_.size()) {}

void RankingEvaluation::Add(absl::Span<const ScoredItem> list, absl::Span<const uint32_t> held_out) {
  list = list.first(std::min(k_, list.size()));
  double hits = 0, gain = 0, ideal = 0, first = 0;
  for (size_t place = 0; place < k_; ++place) {
    const double rank = static_cast<double>(place) + 1;
    const double worth = 1 / std::log2(rank + 1);
    ideal += place < held_out.size() ? worth : 0;
    if (place < list.size() && std::binary_search(held_out.begin(), held_out.end(), Value(list[place].item))) {
      first = hits == 0 ? 1 / rank : first;
      ++hits;
      gain += worth;
    }
  }
  for (const ScoredItem& scored : list) {
    const uint32_t users = std::max<uint32_t>(1, item_users_[Value(scored.item)]);
    shown_[Value(scored.item)] = true;
    sums_.novelty -= std::log2(static_cast<double>(users) / std::max<uint32_t>(1, train_users_));
    ++places_;
  }
  if (!held_out.empty()) {
    const auto n = static_cast<double>(held_out.size());
    sums_.recall += hits / n;
    sums_.truncated_recall += hits / std::min(n, static_cast<double>(k_));
    sums_.ndcg += gain / ideal;
    sums_.hit_rate += hits > 0 ? 1 : 0;
    sums_.mrr += first;
    ++sums_.users;
  }
}

RankingMetrics RankingEvaluation::Means() const {
  RankingMetrics means = sums_;
  const double users = std::max<double>(1, static_cast<double>(sums_.users));
  for (double* value : {&means.recall, &means.truncated_recall, &means.ndcg, &means.hit_rate, &means.mrr}) {
    *value /= users;
  }
  means.novelty /= std::max(1.0, places_);
  means.coverage = static_cast<double>(std::count(shown_.begin(), shown_.end(), true)) /
                   std::max<double>(1, static_cast<double>(shown_.size()));
  return means;
}

}  // namespace tributary::batch
