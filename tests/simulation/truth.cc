#include "tests/simulation/truth.h"

#include <algorithm>

#include "tests/simulation/plan.h"

namespace tributary::simulation {
namespace {

int64_t Millis(const google::protobuf::Timestamp& time) { return time.seconds() * 1000 + time.nanos() / 1000000; }

bool InForce(const v1::Rule& rule, const std::string& segment, int64_t now_unix_ms) {
  return (rule.segment().empty() || rule.segment() == segment) &&
         (!rule.has_start() || now_unix_ms >= Millis(rule.start())) &&
         (!rule.has_end() || now_unix_ms < Millis(rule.end()));
}

bool Names(const v1::Rule& rule, const std::string& item_id, const v1::Item* item) {
  if (rule.target_case() == v1::Rule::kItemId) return rule.item_id() == item_id;
  if (item == nullptr) return false;
  const auto has = [](const auto& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  return rule.target_case() == v1::Rule::kCategory ? has(item->categories(), rule.category())
                                                   : has(item->labels(), rule.label());
}

}  // namespace

bool CatalogueVersion::Allows(const std::string& item_id, const std::string& user_id, int64_t now_unix_ms) const {
  const auto found = items.find(item_id);
  const v1::Item* item = found == items.end() ? nullptr : &found->second;
  if (item != nullptr) {
    if (item->item_id().empty()) return false;  // Deleted.
    if (item->has_stock() && item->stock() == 0 && !item->has_lead_time()) return false;
    if (item->has_available_from() && now_unix_ms < Millis(item->available_from())) return false;
    if (item->has_available_until() && now_unix_ms >= Millis(item->available_until())) return false;
  }
  const auto user = users.find(user_id);
  const std::string segment = user == users.end() ? "" : user->second.segment();
  return std::none_of(rules.begin(), rules.end(), [&](const auto& entry) {
    return entry.second.action() == v1::HIDE && Names(entry.second, item_id, item) &&
           InForce(entry.second, segment, now_unix_ms);
  });
}

void Truth::Read(const FakeEventLog& log, int partitions) {
  for (int partition = 0; partition < partitions; ++partition) {
    Offset& next = next_[partition];
    for (const LogRecord& record : log.Records({"events", PartitionId{partition}}, Isolation::kCommitted, next)) {
      reference_.Add({partition, Value(record.offset), record.append_time_unix_ms, record.value.value_or("")});
      next = Next(record.offset);
    }
  }
}

void Truth::AddImport(int64_t ordinal, const std::vector<std::string>& values) {
  for (size_t line = 0; line < values.size(); ++line) {
    reference_.Add({-1, (ordinal << kImportLineBits) + static_cast<int64_t>(line), kBegin, values[line]});
  }
}

CatalogueVersion& Truth::NextVersion() {
  versions_.push_back(versions_.back());
  return versions_.back();
}

void Truth::Put(const v1::Item& item) {
  const bool deleted = item.categories().empty();
  v1::Item& known = NextVersion().items[item.item_id()];
  known = deleted ? v1::Item() : item;
}

void Truth::Put(const v1::Rule& rule) { NextVersion().rules[rule.rule_id()] = rule; }

void Truth::Put(const v1::UserRecord& user) { NextVersion().users[user.user_id()] = user; }

}  // namespace tributary::simulation
