#ifndef TRIBUTARY_COMMON_MERGE_RULE_SET_H_
#define TRIBUTARY_COMMON_MERGE_RULE_SET_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary {

enum class RuleIndex : uint32_t {};   // Of one RuleSet.

// InvalidArgument names the field of the rule that is missing or out of range (proto/tributary/v1/catalogue.proto).
absl::Status ValidateRule(const v1::Rule& rule);

// The operators' rules, ready to be looked up by item, category and label, so that a candidate costs only the rules that
// name it. Whether a rule is in force (time, segment) is asked at the request.
//
// A rule is tied to the numbers of a catalogue. Numbers never change from one catalogue to the next built on it, but a
// rule for a name that appears later is found only by a RuleSet built after it: see IsCurrent.
// Threads: immutable; call from any thread.
class RuleSet {
 public:
  struct Rule {
    std::string rule_id;
    v1::RuleAction action = v1::RULE_ACTION_UNSPECIFIED;
    double factor = 1;                   // What it multiplies the score by; 1 for a pin, 0 for a hide.
    double strength = 0;
    std::string segment;                 // Empty: all users.
    int64_t start_unix_ms = std::numeric_limits<int64_t>::min();
    int64_t end_unix_ms = std::numeric_limits<int64_t>::max();   // Exclusive.

    bool InForce(int64_t now_unix_ms, absl::string_view user_segment) const {
      return now_unix_ms >= start_unix_ms && now_unix_ms < end_unix_ms && (segment.empty() || segment == user_segment);
    }
  };
  // An item that a rule puts first.
  struct Pin {
    ItemNumber item{};
    RuleIndex rule{};
  };

  // No rules.
  RuleSet() = default;
  // Rules that ValidateRule refuses are left out: they stop nobody's request. Of rules with one id the last counts.
  RuleSet(absl::Span<const v1::Rule> rules, const Catalogue& catalogue);

  bool empty() const { return rules_.empty(); }
  size_t size() const { return rules_.size(); }
  const Rule& rule(RuleIndex index) const { return rules_[Value(index)]; }
  // Rules by target, by rule id.
  absl::Span<const RuleIndex> ForItem(ItemNumber item) const;
  absl::Span<const RuleIndex> ForCategory(CategoryNumber category) const;
  absl::Span<const RuleIndex> ForLabel(LabelNumber label) const;
  // Pins of single items, by rule id.
  absl::Span<const Pin> pins() const { return pins_; }

  // False when a rule names an item, category or label that came into `catalogue` after this set was built: build it
  // again. `catalogue` is the one it was built with or built on that.
  bool IsCurrent(const Catalogue& catalogue) const;

 private:
  using Index = absl::flat_hash_map<uint32_t, std::vector<RuleIndex>>;
  static absl::Span<const RuleIndex> Look(const Index& index, uint32_t number);

  std::vector<Rule> rules_;    // By rule id.
  Index by_item_;
  Index by_category_;
  Index by_label_;
  std::vector<Pin> pins_;
  std::vector<std::string> missing_items_;
  std::vector<std::string> missing_categories_;
  std::vector<std::string> missing_labels_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_RULE_SET_H_
