#include "common/merge/rule_set.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

constexpr size_t kMaxRuleIdBytes = 64;
constexpr size_t kMaxSegmentBytes = 64;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxCommentBytes = 1024;
constexpr double kMaxStrength = 1000;

absl::Status Refused(absl::string_view field, absl::string_view reason, const v1::Rule& rule) {
  return absl::InvalidArgumentError(
      absl::StrCat("rule refused: field=", field, " reason=\"", reason, "\" rule_id=", rule.rule_id()));
}

absl::Status CheckTarget(absl::string_view field, const std::string& name, const v1::Rule& rule) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return Refused(field, "1 to 256 bytes", rule);
  }
  return absl::OkStatus();
}

int64_t UnixMs(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000 + time.nanos() / 1'000'000;
}

double FactorOf(const v1::Rule& rule) {
  switch (rule.action()) {
    case v1::BOOST:
      return 1 + rule.strength();
    case v1::BURY:
      return 1 / (1 + rule.strength());
    case v1::HIDE:
      return 0;
    default:
      return 1;
  }
}

}  // namespace

absl::Status ValidateRule(const v1::Rule& rule) {
  if (rule.rule_id().empty() || rule.rule_id().size() > kMaxRuleIdBytes) {
    return Refused("rule_id", "1 to 64 bytes", rule);
  }
  if (rule.action() == v1::RULE_ACTION_UNSPECIFIED || !v1::RuleAction_IsValid(rule.action())) {
    return Refused("action", "unset or unknown", rule);
  }
  if (!std::isfinite(rule.strength()) || rule.strength() < 0 || rule.strength() > kMaxStrength) {
    return Refused("strength", "0 to 1,000", rule);
  }
  if (rule.segment().size() > kMaxSegmentBytes) {
    return Refused("segment", "at most 64 bytes", rule);
  }
  if (rule.comment().size() > kMaxCommentBytes) {
    return Refused("comment", "at most 1,024 bytes", rule);
  }
  if (rule.has_start() && rule.has_end() && UnixMs(rule.start()) >= UnixMs(rule.end())) {
    return Refused("end", "not after start", rule);
  }
  switch (rule.target_case()) {
    case v1::Rule::kItemId:
      return CheckTarget("item_id", rule.item_id(), rule);
    case v1::Rule::kCategory:
      return CheckTarget("category", rule.category(), rule);
    case v1::Rule::kLabel:
      return CheckTarget("label", rule.label(), rule);
    case v1::Rule::TARGET_NOT_SET:
      return Refused("target", "one of item_id, category, label is required", rule);
  }
  return absl::OkStatus();
}

RuleSet::RuleSet(absl::Span<const v1::Rule> rules, const Catalogue& catalogue) {
  std::map<std::string, const v1::Rule*> by_id;
  for (const v1::Rule& rule : rules) {
    if (ValidateRule(rule).ok()) {
      by_id[rule.rule_id()] = &rule;
    }
  }
  rules_.reserve(by_id.size());
  for (const auto& [rule_id, message] : by_id) {
    const RuleIndex index{static_cast<uint32_t>(rules_.size())};
    Rule& rule = rules_.emplace_back();
    rule.rule_id = rule_id;
    rule.action = message->action();
    rule.factor = FactorOf(*message);
    rule.strength = message->strength();
    rule.segment = message->segment();
    if (message->has_start()) {
      rule.start_unix_ms = UnixMs(message->start());
    }
    if (message->has_end()) {
      rule.end_unix_ms = UnixMs(message->end());
    }
    if (message->target_case() == v1::Rule::kItemId) {
      if (const auto item = catalogue.Find(message->item_id())) {
        by_item_[Value(*item)].push_back(index);
        if (rule.action == v1::PIN) {
          pins_.push_back({*item, index});
        }
      } else {
        missing_items_.push_back(message->item_id());
      }
    } else if (message->target_case() == v1::Rule::kCategory) {
      if (const auto category = catalogue.FindCategory(message->category())) {
        by_category_[Value(*category)].push_back(index);
      } else {
        missing_categories_.push_back(message->category());
      }
    } else {
      if (const auto label = catalogue.FindLabel(message->label())) {
        by_label_[Value(*label)].push_back(index);
      } else {
        missing_labels_.push_back(message->label());
      }
    }
  }
}

absl::Span<const RuleIndex> RuleSet::Look(const Index& index, uint32_t number) {
  if (index.empty()) {
    return {};
  }
  const auto found = index.find(number);
  return found == index.end() ? absl::Span<const RuleIndex>() : absl::MakeConstSpan(found->second);
}

absl::Span<const RuleIndex> RuleSet::ForItem(ItemNumber item) const { return Look(by_item_, Value(item)); }
absl::Span<const RuleIndex> RuleSet::ForCategory(CategoryNumber category) const {
  return Look(by_category_, Value(category));
}
absl::Span<const RuleIndex> RuleSet::ForLabel(LabelNumber label) const { return Look(by_label_, Value(label)); }

bool RuleSet::IsCurrent(const Catalogue& catalogue) const {
  return std::none_of(missing_items_.begin(), missing_items_.end(),
                      [&](const std::string& id) { return catalogue.Find(id).has_value(); }) &&
         std::none_of(missing_categories_.begin(), missing_categories_.end(),
                      [&](const std::string& name) { return catalogue.FindCategory(name).has_value(); }) &&
         std::none_of(missing_labels_.begin(), missing_labels_.end(),
                      [&](const std::string& name) { return catalogue.FindLabel(name).has_value(); });
}

}  // namespace tributary
