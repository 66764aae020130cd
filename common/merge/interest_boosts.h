#ifndef TRIBUTARY_COMMON_MERGE_INTEREST_BOOSTS_H_
#define TRIBUTARY_COMMON_MERGE_INTEREST_BOOSTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/merge/catalogue.h"
#include "common/merge/live_facts.h"
#include "common/merge/merge.h"
#include "common/merge/policy.h"
#include "common/merge/sparse_set.h"

namespace tributary {

// What a user's live facts do to categories and labels: for each the sum of strength * 2^(-age / half-life), and the
// strongest cause. Facts with an item act on its categories, searches on the labels and categories that are the query or
// a word of it, as written or in lower case (ASCII). A fact of which less than a thousandth of full strength (kFaded) is
// left has faded. An event ahead of `now` has age 0.
// Threads: not thread-safe.
class InterestBoosts {
 public:
  static constexpr double kFaded = 1e-3;

  // `facts` by event time, then position: the order of the sum is fixed.
  void Compute(absl::Span<const LiveFact> facts, const Catalogue& catalogue, const MergePolicy& policy,
               int64_t now_unix_ms);
  void Clear(const Catalogue& catalogue);

  bool empty() const { return totals_.empty(); }
  // What an item is multiplied by: 1 + s, or 1 / (1 - s) for s < 0, s the sum over its categories and labels cut to
  // +-max_category_boost.
  double FactorOf(const Catalogue& catalogue, ItemNumber item) const;
  // One reason a category or label that counts, the strongest first; their parts multiply to FactorOf.
  void AppendReasons(const Catalogue& catalogue, ItemNumber item, std::vector<MergeReason>* reasons);

 private:
  struct Total {
    uint32_t number = 0;      // Of the category; or of the label, after all categories.
    double sum = 0;
    double strongest = 0;     // Absolute.
    EventCause cause;
    int32_t causes = 0;
  };

  void AddSearch(const LiveFact& live, const Catalogue& catalogue, double effect);
  void AddName(absl::string_view name, const LiveFact& live, const Catalogue& catalogue, double effect);
  void Add(uint32_t number, const LiveFact& live, double effect);
  double Factor(double sum) const;
  // Calls visit(const Total&) for each that the item has.
  template <typename Visit>
  void ForEach(const Catalogue& catalogue, ItemNumber item, Visit visit) const;
  absl::string_view NameOf(const Catalogue& catalogue, const Total& total) const;

  SparseSet<Total> totals_;
  uint32_t categories_ = 0;            // Numbers below are categories.
  bool labels_ = false;                // There are totals of labels.
  double cap_ = 0;
  std::vector<const Total*> sorted_;   // Buffer of AppendReasons.
  std::vector<uint32_t> named_;        // Buffer of AddSearch.
  std::string lower_;                  // As named_.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_INTEREST_BOOSTS_H_
