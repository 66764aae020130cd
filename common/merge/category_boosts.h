#ifndef TRIBUTARY_COMMON_MERGE_CATEGORY_BOOSTS_H_
#define TRIBUTARY_COMMON_MERGE_CATEGORY_BOOSTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/merge/catalogue.h"
#include "common/merge/live_facts.h"
#include "common/merge/merge.h"
#include "common/merge/policy.h"
#include "common/merge/sparse_set.h"

namespace tributary {

// What a user's live facts do to categories: per category the sum of strength * 2^(-age / half-life), and the strongest
// cause. A fact of which less than a thousandth of full strength (kFaded) is left has faded. An event ahead of `now` has
// age 0.
// Threads: not thread-safe.
class CategoryBoosts {
 public:
  static constexpr double kFaded = 1e-3;

  // `facts` by event time, then position: the order of the sum is fixed.
  void Compute(absl::Span<const LiveFact> facts, const Catalogue& catalogue, const MergePolicy& policy,
               int64_t now_unix_ms);
  void Clear(const Catalogue& catalogue) { totals_.Clear(catalogue.category_count()); }

  bool empty() const { return totals_.empty(); }
  // What an item with these categories is multiplied by: 1 + s, or 1 / (1 - s) for s < 0, s the sum over its categories
  // cut to +-max_category_boost.
  double FactorOf(absl::Span<const CategoryNumber> categories) const;
  // One reason a category that counts, the strongest first; their parts multiply to FactorOf.
  void AppendReasons(absl::Span<const CategoryNumber> categories, const Catalogue& catalogue,
                     std::vector<MergeReason>* reasons);

 private:
  struct Total {
    uint32_t number = 0;      // Of the category.
    double sum = 0;
    double strongest = 0;     // Absolute.
    EventCause cause;
    int32_t causes = 0;
  };

  void Add(CategoryNumber category, double effect, const LiveFact& live);
  double Factor(double sum) const;

  SparseSet<Total> totals_;
  double cap_ = 0;
  std::vector<const Total*> sorted_;   // Buffer of AppendReasons.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_CATEGORY_BOOSTS_H_
