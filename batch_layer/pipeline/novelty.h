#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_NOVELTY_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_NOVELTY_H_

#include <optional>

#include "absl/status/statusor.h"
#include "batch_layer/evaluation/served_lists.h"
#include "batch_layer/pipeline/dataset.h"
#include "batch_layer/pipeline/views.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/config.pb.h"

namespace tributary::batch {

// How much of what is served is new: the mean share of a user's first kValidationLength items that the lists of
// `previous` would not have served there, both as merge serves them in `world` for what the user has now. Over the
// users of the validation slice whom `previous` has a list for; unset: there is none. `world`'s numbers are those of
// `dataset`.
absl::StatusOr<std::optional<double>> NoveltyToPrevious(const Dataset& dataset, const Views& views,
                                                        const ServingWorld& world, const SnapshotReader& previous,
                                                        const v1::BatchConfig& config);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_NOVELTY_H_
