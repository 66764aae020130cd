#include "batch_layer/pipeline/run_catalogue.h"

#include <google/protobuf/util/json_util.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

// Binary protobuf, or proto3 JSON when the first byte is `{`.
bool Decode(const std::string& value, google::protobuf::Message* message) {
  if (!value.empty() && value[0] == '{') {
    return google::protobuf::util::JsonStringToMessage(value, message).ok();
  }
  return message->ParseFromString(value);
}

// Lays the records of a compacted topic over `entries`.
template <typename Message>
absl::Status LayTopic(EventLog& log, const std::string& topic, const ReadOptions& options,
                      const std::string& (Message::*key_of)() const, std::map<std::string, Message>* entries,
                      std::set<std::string>* deleted, int64_t* unreadable) {
  const auto values = ReadCompacted(log, topic, options);
  if (absl::IsNotFound(values.status())) {
    LOG(WARNING) << "catalogue: no such topic, taken as empty: topic=" << topic;
    return absl::OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(values.status());
  int64_t bad = 0;
  for (const auto& [key, value] : *values) {
    if (!value) {
      entries->erase(key);
      if (deleted != nullptr) {
        deleted->insert(key);
      }
      continue;
    }
    Message message;
    if (!Decode(*value, &message) || (message.*key_of)() != key || key.empty()) {
      ++bad;
      continue;
    }
    (*entries)[key] = std::move(message);
  }
  if (bad > 0) {
    LOG(WARNING) << "catalogue: records left out, which are malformed or whose key is not their id: topic=" << topic
                 << " records=" << bad;
  }
  *unreadable += bad;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunCatalogue> ReadRunCatalogue(const History& history, EventLog* log, const Topics& topics,
                                              const ReadOptions& options) {
  RunCatalogue catalogue;
  for (int ordinal = 0; ordinal < history.manifest().imports_size(); ++ordinal) {
    TRIBUTARY_ASSIGN_OR_RETURN(std::vector<v1::Item> items, history.ReadImportItems(ordinal));
    for (v1::Item& item : items) {
      std::string id = item.item_id();
      catalogue.items[std::move(id)] = std::move(item);
    }
  }
  if (log != nullptr) {
    TRIBUTARY_RETURN_IF_ERROR(LayTopic<v1::Item>(*log, topics.items, options, &v1::Item::item_id, &catalogue.items,
                                                 &catalogue.deleted_items, &catalogue.unreadable));
    TRIBUTARY_RETURN_IF_ERROR(LayTopic<v1::UserRecord>(*log, topics.users, options, &v1::UserRecord::user_id,
                                                       &catalogue.users, nullptr, &catalogue.unreadable));
    TRIBUTARY_RETURN_IF_ERROR(LayTopic<v1::Rule>(*log, topics.rules, options, &v1::Rule::rule_id, &catalogue.rules, nullptr,
                                                 &catalogue.unreadable));
  }
  return catalogue;
}

std::vector<v1::CatalogueEntry> ToEntries(const RunCatalogue& catalogue) {
  std::vector<v1::CatalogueEntry> entries;
  for (const auto& [id, item] : catalogue.items) {
    *entries.emplace_back().mutable_item() = item;
  }
  for (const std::string& id : catalogue.deleted_items) {
    entries.emplace_back().set_deleted_item_id(id);
  }
  for (const auto& [id, user] : catalogue.users) {
    *entries.emplace_back().mutable_user() = user;
  }
  for (const auto& [id, rule] : catalogue.rules) {
    *entries.emplace_back().mutable_rule() = rule;
  }
  return entries;
}

}  // namespace tributary::batch
