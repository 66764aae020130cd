#include "serving_layer/context/context_publisher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/context/records.h"

namespace tributary::serving {
namespace {

// Catalogue::AvailableFrom of what is not new.
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();

// Says which record was refused.
absl::Status Refused(const LogRecord& record, const absl::Status& why) {
  return absl::InvalidArgumentError(absl::StrCat("record refused: topic=", record.source.topic,
                                                 " partition=", Value(record.source.partition),
                                                 " offset=", Value(record.offset), " cause=", why.message()));
}

}  // namespace

ContextPublisher::ContextPublisher()
    : current_{.snapshot = nullptr,
               .catalogue = std::make_shared<const Catalogue>(),
               .rules = std::make_shared<const RuleSet>(),
               .newest = std::make_shared<const std::vector<ItemNumber>>()},
      rule_messages_(std::make_shared<const std::vector<v1::Rule>>()),
      contexts_(std::make_unique<const ServedContexts>(ServedContexts{.current = {.snapshot = nullptr,
                                                                                 .catalogue = current_.catalogue,
                                                                                 .rules = current_.rules,
                                                                                 .rule_messages = rule_messages_,
                                                                                 .newest = current_.newest}})) {}

absl::Status ContextPublisher::ApplyItem(const LogRecord& record) {
  ItemChange change;
  if (record.value) {
    absl::StatusOr<v1::Item> item = ParseItem(record.key, *record.value);
    if (!item.ok()) {
      return Refused(record, item.status());
    }
    change = std::make_shared<const v1::Item>(*std::move(item));
  }
  MutexLock lock(mutex_);
  items_.Set(record.key, std::move(change));
  changed_items_.push_back(record.key);
  if (changed_while_activating_) {
    changed_while_activating_->push_back(record.key);
  }
  return absl::OkStatus();
}

absl::Status ContextPublisher::ApplyUser(const LogRecord& record) {
  if (!record.value) {
    users_.Erase(record.key);
    return absl::OkStatus();
  }
  absl::StatusOr<v1::UserRecord> user = ParseUserRecord(record.key, *record.value);
  if (!user.ok()) {
    return Refused(record, user.status());
  }
  users_.Set(record.key, UserInfo{.segment = user->segment(), .consent = user->consent()});
  return absl::OkStatus();
}

absl::Status ContextPublisher::ApplyRule(const LogRecord& record) {
  if (!record.value) {
    MutexLock lock(mutex_);
    rules_changed_ |= rules_.erase(record.key) > 0;
    return absl::OkStatus();
  }
  absl::StatusOr<v1::Rule> rule = ParseRule(record.key, *record.value);
  if (!rule.ok()) {
    return Refused(record, rule.status());
  }
  MutexLock lock(mutex_);
  rules_[record.key] = *std::move(rule);
  rules_changed_ = true;
  return absl::OkStatus();
}

void ContextPublisher::Put(absl::string_view item_id, const ItemChange& change, CatalogueBuilder& builder) {
  if (change != nullptr) {
    builder.Put(*change);
  } else {
    builder.Delete(item_id);
  }
}

void ContextPublisher::Publish() {
  users_.Reclaim();
  MutexLock lock(mutex_);
  items_.Reclaim();
  if (changed_items_.empty() && !rules_changed_) {
    return;
  }
  ApplyChanges(&current_);
  if (other_) {
    ApplyChanges(&*other_);
  }
  changed_items_.clear();
  PublishLocked();
}

void ContextPublisher::ApplyChanges(Line* line) {
  if (changed_items_.empty()) {
    return;
  }
  CatalogueBuilder builder(*line->catalogue);
  for (const std::string& item_id : changed_items_) {
    Put(item_id, *items_.FindAsWriter(item_id), builder);
  }
  const std::shared_ptr<const Catalogue> before = std::exchange(line->catalogue, std::move(builder).Build());
  std::vector<ItemNumber> changed;
  for (const std::string& item_id : changed_items_) {
    const std::optional<ItemNumber> item = line->catalogue->Find(item_id);
    const auto from = [&](const Catalogue& catalogue) {
      return Value(*item) < catalogue.size() && !catalogue.IsDeleted(*item) ? catalogue.AvailableFrom(*item) : kAlways;
    };
    if (item && from(*before) != from(*line->catalogue)) {
      changed.push_back(*item);
    }
  }
  if (!changed.empty()) {   // Most changes are of stock and price.
    line->newest_items.Update(*before, *line->catalogue, std::move(changed));
    line->newest = ListOf(line->newest_items);
  }
}

std::shared_ptr<const std::vector<ItemNumber>> ContextPublisher::ListOf(const NewestItems& newest) {
  const absl::Span<const ItemNumber> items = newest.items();
  return std::make_shared<const std::vector<ItemNumber>>(items.begin(), items.end());
}

void ContextPublisher::PublishLocked() {
  if (rules_changed_) {
    auto messages = std::make_shared<std::vector<v1::Rule>>();
    messages->reserve(rules_.size());
    for (const auto& [rule_id, rule] : rules_) {
      messages->push_back(rule);
    }
    rule_messages_ = std::move(messages);
  }
  auto contexts = std::make_unique<ServedContexts>();
  contexts->current = ContextOf(&current_);
  if (other_) {
    contexts->other = ContextOf(&*other_);
    contexts->other_share = other_share_;
  }
  contexts->version = ++version_;
  rules_changed_ = false;
  contexts_.Publish(std::move(contexts));
}

ServingContext ContextPublisher::ContextOf(Line* line) {
  if (rules_changed_ || line->rules == nullptr || !line->rules->IsCurrent(*line->catalogue)) {
    line->rules = std::make_shared<const RuleSet>(*rule_messages_, *line->catalogue);
  }
  return {.snapshot = line->snapshot,
          .catalogue = line->catalogue,
          .rules = line->rules,
          .rule_messages = rule_messages_,
          .newest = line->newest};
}

CatalogueBuilder ContextPublisher::BeginLine(const LoadedSnapshot& snapshot) {
  std::vector<std::pair<std::string, ItemChange>> items;
  {
    MutexLock lock(mutex_);
    changed_while_activating_.emplace();
    items.reserve(items_.size());
    items_.ForEach([&](absl::string_view item_id, const ItemChange& change) { items.emplace_back(item_id, change); });
  }
  // The numbers of items that only the topic knows follow from this order, so it must not be that of a hash map.
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  CatalogueBuilder builder(snapshot.catalogue());
  for (const auto& [item_id, change] : items) {
    Put(item_id, change, builder);
  }
  return builder;
}

ContextPublisher::Line ContextPublisher::FinishLine(std::shared_ptr<const LoadedSnapshot> snapshot,
                                                    CatalogueBuilder builder) {
  for (const std::string& item_id : *changed_while_activating_) {
    Put(item_id, *items_.FindAsWriter(item_id), builder);
  }
  changed_while_activating_.reset();
  Line line;
  line.snapshot = std::move(snapshot);
  line.catalogue = std::move(builder).Build();
  line.newest_items.Rebuild(*line.catalogue);
  line.newest = ListOf(line.newest_items);
  // Numbers start anew with the snapshot: rules that are numbered by another catalogue are not taken over.
  return line;
}

void ContextPublisher::Activate(std::shared_ptr<const LoadedSnapshot> snapshot) {
  CatalogueBuilder builder = BeginLine(*snapshot);
  Line old;                       // Closed outside of the lock, as the next.
  std::optional<Line> held;
  MutexLock lock(mutex_);
  old = std::exchange(current_, FinishLine(std::move(snapshot), std::move(builder)));
  if (other_ && other_->snapshot == current_.snapshot) {
    held = std::exchange(other_, std::nullopt);
  } else if (other_) {
    ApplyChanges(&*other_);
  }
  changed_items_.clear();  // The builder has them all.
  PublishLocked();
}

void ContextPublisher::Hold(std::shared_ptr<const LoadedSnapshot> snapshot, double share) {
  std::optional<Line> old;        // Closed outside of the lock.
  std::optional<CatalogueBuilder> builder;
  bool held = false;
  {
    MutexLock lock(mutex_);
    held = other_ && other_->snapshot == snapshot;
  }
  if (snapshot != nullptr && !held) {
    builder.emplace(BeginLine(*snapshot));
  }
  MutexLock lock(mutex_);
  if (builder) {
    ApplyChanges(&current_);      // The builder has all changes; the line that stays has not.
    changed_items_.clear();
    old = std::exchange(other_, FinishLine(std::move(snapshot), *std::move(builder)));
  } else if (snapshot == nullptr) {
    old = std::exchange(other_, std::nullopt);
  }
  other_share_ = share;
  PublishLocked();
}

absl::StatusOr<v1::Item> ContextPublisher::FindItem(absl::string_view item_id) const {
  const auto not_found = [&] { return absl::NotFoundError(absl::StrCat("item unknown: item_id=", item_id)); };
  if (const ItemChange* change = items_.Find(item_id); change != nullptr) {
    return *change != nullptr ? absl::StatusOr<v1::Item>(**change) : not_found();
  }
  const ServingContext& now = context();
  if (now.snapshot == nullptr) {
    return not_found();
  }
  const std::optional<ItemNumber> number = now.snapshot->catalogue().Find(item_id);
  return number ? now.snapshot->reader().ReadItem(*number) : not_found();
}

}  // namespace tributary::serving
