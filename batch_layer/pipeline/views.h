#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_VIEWS_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_VIEWS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "batch_layer/learning/learn.h"
#include "batch_layer/pipeline/dataset.h"
#include "batch_layer/pipeline/run_catalogue.h"
#include "batch_layer/pipeline/spill_file.h"
#include "common/sessions/session_index.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/config.pb.h"

namespace tributary::batch {

// What the models made of a dataset; lists are computed while they are written.
struct Views {
  StringSpool profiles;                                 // By user, v1::Profile of all events, anonymous ones too; empty: none.
  std::vector<uint32_t> learned_users;                  // Whom models learned from, ascending: their rows.
  std::optional<Learned> learned;                       // Unless there was nothing to learn from.
  std::vector<std::vector<ScoredItem>> neighbours;      // By item.
  std::map<std::string, std::vector<ScoredItem>> popular;   // By scope.
  int64_t new_items = 0;                                // That nobody touched, placed by category and label.
  int64_t sessions = 0;
  std::optional<int64_t> learned_since_unix_ms;         // Of event time; unset: from the beginning.
  SessionIndexArrays session_index;
};

// Learns from users who are known and did not refuse (consent), in their events that are not anonymous. Popularity and
// sessions: of all events but those of users who refused. Models and popularity leave out what lies more than
// batch.learn_from_days before the latest event, and models learn from the share batch.learn_user_share of the users, by the
// xxh64 of their ids: others have no list. Results do not depend on the number of threads, nor on where the events lie.
// Lets go of the dataset's events before the models learn, but not of the directory that they were in. `world`: what the
// lists are measured in. ResourceExhausted: learning does not fit into batch.memory_budget_bytes.
absl::StatusOr<Views> ComputeViews(Dataset& dataset, const RunCatalogue& catalogue, const v1::Config& config,
                                   const ServingWorld& world);

// Writes all views. Lists of users are of `batch.list_length` items, what the user has among them: merge removes what is
// suppressed at the time of the request.
absl::Status WriteViews(const Dataset& dataset, Views& views, const v1::Config& config,
                        const std::map<PartitionId, Offset>& watermarks, SnapshotWriter& writer);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_VIEWS_H_
