#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_CATALOGUE_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_CATALOGUE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "batch_layer/history/history.h"
#include "batch_layer/kafka_range/read_to_end.h"
#include "common/event_log/event_log.h"
#include "common/event_log/topics.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary::batch {

// What is known of items, users and rules when a run starts: the catalogues derived from imports, later ones over earlier
// ones, and over them the topics. Ordered by key.
struct RunCatalogue {
  std::map<std::string, v1::Item> items;
  std::set<std::string> deleted_items;                // Tombstones that were read, and no later item.
  std::map<std::string, v1::UserRecord> users;
  std::map<std::string, v1::Rule> rules;
  int64_t unreadable = 0;                             // Records of the topics that are no message of theirs; left out.
};

// `log`: null without Kafka. A topic that does not exist is empty.
absl::StatusOr<RunCatalogue> ReadRunCatalogue(const History& history, EventLog* log, const Topics& topics,
                                              const ReadOptions& options);

// As the history keeps it.
std::vector<v1::CatalogueEntry> ToEntries(const RunCatalogue& catalogue);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_CATALOGUE_H_
