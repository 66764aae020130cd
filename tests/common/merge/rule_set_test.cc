#include "common/merge/rule_set.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Rule Boost(const std::string& rule_id) {
  v1::Rule rule;
  rule.set_rule_id(rule_id);
  rule.set_action(v1::BOOST);
  rule.set_category("lamp");
  rule.set_strength(1);
  return rule;
}

struct RefusedCase {
  std::string field;
  void (*change)(v1::Rule*);
};

class ValidateRuleTest : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(ValidateRuleTest, NamesTheFieldThatIsRefused) {
  v1::Rule rule = Boost("r");
  ASSERT_TRUE(ValidateRule(rule).ok());
  GetParam().change(&rule);
  const absl::Status status = ValidateRule(rule);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("field=" + GetParam().field + " "));
}

INSTANTIATE_TEST_SUITE_P(
    All, ValidateRuleTest,
    ::testing::Values(
        RefusedCase{"rule_id", [](v1::Rule* r) { r->clear_rule_id(); }},
        RefusedCase{"rule_id", [](v1::Rule* r) { r->set_rule_id(std::string(65, 'r')); }},
        RefusedCase{"action", [](v1::Rule* r) { r->clear_action(); }},
        RefusedCase{"action", [](v1::Rule* r) { r->set_action(static_cast<v1::RuleAction>(99)); }},
        RefusedCase{"strength", [](v1::Rule* r) { r->set_strength(-1); }},
        RefusedCase{"strength", [](v1::Rule* r) { r->set_strength(1001); }},
        RefusedCase{"strength", [](v1::Rule* r) { r->set_strength(std::numeric_limits<double>::quiet_NaN()); }},
        RefusedCase{"segment", [](v1::Rule* r) { r->set_segment(std::string(65, 's')); }},
        RefusedCase{"comment", [](v1::Rule* r) { r->set_comment(std::string(1025, 'c')); }},
        RefusedCase{"target", [](v1::Rule* r) { r->clear_category(); }},
        RefusedCase{"category", [](v1::Rule* r) { r->set_category(""); }},
        RefusedCase{"item_id", [](v1::Rule* r) { r->set_item_id(""); }},
        RefusedCase{"label", [](v1::Rule* r) { r->set_label(std::string(257, 'l')); }},
        RefusedCase{"end", [](v1::Rule* r) {
                      r->mutable_start()->set_seconds(10);
                      r->mutable_end()->set_seconds(10);
                    }}));

TEST(RuleSetTest, IsInForceInItsTimeAndSegmentAlone) {
  v1::Rule message = Boost("r");
  message.set_segment("vip");
  message.mutable_start()->set_seconds(10);
  message.mutable_end()->set_seconds(20);
  const RuleSet rules({message}, Catalogue());
  const RuleSet::Rule& rule = rules.rule(RuleIndex{0});
  EXPECT_FALSE(rule.InForce(9'999, "vip"));
  EXPECT_TRUE(rule.InForce(10'000, "vip"));
  EXPECT_TRUE(rule.InForce(19'999, "vip"));
  EXPECT_FALSE(rule.InForce(20'000, "vip"));
  EXPECT_FALSE(rule.InForce(10'000, ""));
}

TEST(RuleSetTest, LeavesOutWhatValidateRefusesAndKeepsTheLastOfOneId) {
  v1::Rule bad = Boost("bad");
  bad.set_strength(-1);
  v1::Rule later = Boost("r");
  later.set_strength(3);
  const RuleSet rules({Boost("r"), bad, later}, Catalogue());
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules.rule(RuleIndex{0}).factor, 4);
}

TEST(RuleSetTest, IsBuiltAgainWhenAMissingNameAppears) {
  const Catalogue empty;
  const RuleSet rules({Boost("r")}, empty);
  EXPECT_TRUE(rules.IsCurrent(empty));

  v1::Item item;
  item.set_item_id("a");
  CatalogueBuilder other(empty);
  other.Put(item);
  const auto without = std::move(other).Build();
  EXPECT_TRUE(rules.IsCurrent(*without));

  item.add_categories("lamp");
  CatalogueBuilder builder(*without);
  builder.Put(item);
  const auto with = std::move(builder).Build();
  EXPECT_FALSE(rules.IsCurrent(*with));
  EXPECT_THAT(rules.ForCategory(with->FindCategory("lamp").value()), IsEmpty());
  EXPECT_EQ(RuleSet({Boost("r")}, *with).ForCategory(with->FindCategory("lamp").value()).size(), 1u);
}

}  // namespace
}  // namespace tributary
