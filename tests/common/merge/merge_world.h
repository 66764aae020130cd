#ifndef TRIBUTARY_TESTS_COMMON_MERGE_MERGE_WORLD_H_
#define TRIBUTARY_TESTS_COMMON_MERGE_MERGE_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/merge/catalogue.h"
#include "common/merge/merge.h"
#include "common/merge/policy.h"
#include "common/merge/rule_set.h"
#include "gtest/gtest.h"

namespace tributary {

// A small shop for tests of merge: items `a` .. with categories, lists given by name, facts given in a line. Ask() merges.
class MergeWorld : public CandidateViews {
 public:
  static constexpr int64_t kNow = 1'700'000'000'000;
  static constexpr int64_t kMinute = 60'000;
  static constexpr int64_t kDay = 24 * 60 * kMinute;
  using List = std::vector<std::pair<std::string, float>>;

  MergeWorld() { input.policy = &policy; }

  void Put(const v1::Item& item) {
    CatalogueBuilder builder(*catalogue);
    builder.Put(item);
    catalogue = std::move(builder).Build();
  }
  void Put(const std::string& id, const std::vector<std::string>& categories = {}) {
    v1::Item item;
    item.set_item_id(id);
    for (const std::string& category : categories) {
      item.add_categories(category);
    }
    Put(item);
  }
  void Delete(const std::string& id) {
    CatalogueBuilder builder(*catalogue);
    builder.Delete(id);
    catalogue = std::move(builder).Build();
  }

  ItemNumber Number(const std::string& id) const { return catalogue->Find(id).value(); }
  std::vector<ItemNumber> Numbers(const std::vector<std::string>& ids) const {
    std::vector<ItemNumber> numbers;
    for (const std::string& id : ids) {
      numbers.push_back(Number(id));
    }
    return numbers;
  }
  std::vector<ScoredItem> Scored(const List& list) const {
    std::vector<ScoredItem> scored;
    for (const auto& [id, score] : list) {
      scored.push_back({Number(id), score});
    }
    return scored;
  }

  // A decision of the snapshot, on partition 0 below any live offset of these tests.
  void Before(EventType kind, const std::string& id, int64_t event_time, double value = 0) {
    history.Apply(kind, Number(id), {event_time, {PartitionId{0}, Offset{next_snapshot_offset_++}}},
                  static_cast<int64_t>(value * 1e6));
  }
  // A fact of partition 0 at or above W.
  Fact& Live(EventType kind, const std::string& id, int64_t event_time = kNow, double value = 0) {
    return facts.emplace_back(Fact{.kind = kind,
                                   .item_id = id,
                                   .event_time_unix_ms = event_time,
                                   .offset = Offset{next_live_offset_++},
                                   .value_micros = static_cast<int64_t>(value * 1e6)});
  }

  v1::Rule& Rule(const std::string& rule_id, v1::RuleAction action, double strength = 0) {
    v1::Rule& rule = rules.emplace_back();
    rule.set_rule_id(rule_id);
    rule.set_action(action);
    rule.set_strength(strength);
    return rule;
  }

  absl::Status TryAsk() {
    input.catalogue = catalogue.get();
    rule_set = RuleSet(rules, *catalogue);
    input.rules = &rule_set;
    input.views = this;
    input.now_unix_ms = kNow;
    personal_numbers = Scored(personal);
    input.personal = personal_numbers;
    input.history = has_history ? &history : nullptr;
    neighbour_numbers.clear();
    for (const auto& [id, list] : neighbours) {
      neighbour_numbers[Value(Number(id))] = Scored(list);
    }
    popular_numbers = Scored(popular);
    popular_in_numbers.clear();
    for (const auto& [category, list] : popular_in) {
      popular_in_numbers[Value(catalogue->FindCategory(category).value())] = Scored(list);
    }
    popular_among_numbers.clear();
    for (const auto& [segment, list] : popular_among) {
      popular_among_numbers[segment] = Scored(list);
    }
    partitions = {{.partition = PartitionId{0}, .watermark = watermark, .floor = floor, .facts = facts,
                   .recent = recent, .impressions = impressions, .truncated = truncated}};
    partitions.insert(partitions.end(), more_partitions.begin(), more_partitions.end());
    input.live = partitions;
    input.filter = &filter;
    return Merge(input, &scratch, &result);
  }

  // The ids of the answer.
  std::vector<std::string> Ask() {
    const absl::Status status = TryAsk();
    if (!status.ok()) {
      return {std::string(status.ToString())};
    }
    std::vector<std::string> ids;
    for (const MergedItem& item : result.items) {
      ids.emplace_back(catalogue->Id(item.item));
    }
    return ids;
  }

  // Of the last answer; a failure when the item is not in it.
  const MergedItem& Answer(const std::string& id) const {
    for (const MergedItem& item : result.items) {
      if (catalogue->Id(item.item) == id) {
        return item;
      }
    }
    ADD_FAILURE() << "not in the answer: " << id;
    static const MergedItem none;
    return none;
  }

  absl::Span<const ScoredItem> Neighbours(ItemNumber item) const override {
    const auto found = neighbour_numbers.find(Value(item));
    return found == neighbour_numbers.end() ? absl::Span<const ScoredItem>() : absl::MakeConstSpan(found->second);
  }
  absl::Span<const ScoredItem> Popular() const override { return popular_numbers; }
  absl::Span<const ScoredItem> PopularIn(CategoryNumber category) const override {
    const auto found = popular_in_numbers.find(Value(category));
    return found == popular_in_numbers.end() ? absl::Span<const ScoredItem>() : absl::MakeConstSpan(found->second);
  }
  absl::Span<const ScoredItem> PopularAmong(absl::string_view segment) const override {
    const auto found = popular_among_numbers.find(segment);
    return found == popular_among_numbers.end() ? absl::Span<const ScoredItem>() : absl::MakeConstSpan(found->second);
  }

  std::shared_ptr<const Catalogue> catalogue = std::make_shared<Catalogue>();
  MergePolicy policy = MergePolicy::Default();
  std::vector<v1::Rule> rules;
  RuleSet rule_set;
  List personal;
  List popular;
  std::map<std::string, List> neighbours;
  std::map<std::string, List> popular_in;
  std::map<std::string, List> popular_among;
  UserHistory history;
  bool has_history = true;
  std::vector<Fact> facts;
  std::vector<Fact> recent;
  std::vector<Fact> impressions;
  Offset watermark{1000};
  Offset floor{0};
  bool truncated = false;
  std::vector<LivePartition> more_partitions;
  ItemFilter filter;
  MergeInput input;
  MergeScratch scratch;
  MergeResult result;

 private:
  int64_t next_snapshot_offset_ = 0;
  int64_t next_live_offset_ = 1000;
  std::vector<ScoredItem> personal_numbers;
  std::vector<ScoredItem> popular_numbers;
  std::map<uint32_t, std::vector<ScoredItem>> neighbour_numbers;
  std::map<uint32_t, std::vector<ScoredItem>> popular_in_numbers;
  std::map<std::string, std::vector<ScoredItem>, std::less<>> popular_among_numbers;
  std::vector<LivePartition> partitions;
};

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_COMMON_MERGE_MERGE_WORLD_H_
