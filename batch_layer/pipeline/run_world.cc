#include "batch_layer/pipeline/run_world.h"

#include <utility>
#include <vector>

#include "common/status/status_macros.h"

namespace tributary::batch {

absl::StatusOr<RunWorld> RunWorld::Create(const Dataset& dataset, const RunCatalogue& catalogue,
                                          const v1::MergePolicy& policy) {
  RunWorld world;
  TRIBUTARY_ASSIGN_OR_RETURN(world.policy_, MergePolicy::FromProto(policy));
  CatalogueBuilder builder;
  for (const v1::Item& item : dataset.items) {
    builder.Put(item);
  }
  for (const std::string& item : catalogue.deleted_items) {
    builder.Delete(item);
  }
  world.catalogue_ = std::move(builder).Build();
  std::vector<v1::Rule> rules;
  for (const auto& [id, rule] : catalogue.rules) {
    rules.push_back(rule);
  }
  world.rules_ = RuleSet(rules, *world.catalogue_);
  world.now_unix_ms_ = dataset.last_event_time_unix_ms;
  return world;
}

}  // namespace tributary::batch
