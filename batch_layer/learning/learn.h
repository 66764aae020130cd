#ifndef TRIBUTARY_BATCH_LAYER_LEARNING_LEARN_H_
#define TRIBUTARY_BATCH_LAYER_LEARNING_LEARN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "batch_layer/evaluation/served_lists.h"
#include "batch_layer/learning/live_weights.h"
#include "batch_layer/learning/validation.h"
#include "batch_layer/models/ials.h"
#include "batch_layer/models/interaction_matrix.h"
#include "batch_layer/models/item_item.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/snapshot.pb.h"

// From observations to the models behind the users' lists (models/blend.h), and what a validation slice says of them.
namespace tributary::batch {

inline constexpr size_t kValidationLength = 20;   // K of the metrics.

struct Learned {
  InteractionMatrix matrix;
  IalsModel ials;
  ItemItemModel item_item;
  std::string item_item_name;                   // ease or gf_cf.
  double ials_weight = 0;                       // Of the blend: configured, or the best on the validation slice.
  // On the validation slice, before the models saw it: of the blend (no model name), ials, item_item_name and popularity,
  // and of users who act (live, newcomer; live_weights.h says who). Empty without a slice.
  std::vector<v1::QualityMetric> metrics;
  std::vector<uint32_t> validated_rows;  // Of the slice, ascending.
  std::optional<LiveWeights> live;       // Unless there was no slice, no world, or they are as configured.
};

IalsOptions IalsOptionsOf(const v1::BatchConfig& config);
// EASE for catalogues that it can hold, else GF-CF.
ItemItemModel TrainItemItem(const InteractionMatrix& matrix, const v1::BatchConfig& config);
std::string ItemItemName(uint32_t items, const v1::BatchConfig& config);

// What Learn does first, for choosing settings: models that have not seen the validation slice, the blend's weight and
// the metrics on it; `matrix` is without the slice. Without one there are no models.
absl::StatusOr<Learned> LearnForValidation(absl::Span<const Observation> observations, uint32_t rows, uint32_t items,
                                           const v1::BatchConfig& config, const ServingWorld* world);

// With a validation slice the models learn without it first; the weight with the best NDCG is taken; then iALS goes on
// with all observations and the item-item model learns again. The work is bounded by the size of the slice, not by the
// clock, so that the same input gives the same snapshot. `world`: lists are measured as merge serves them in it; null:
// as they are, without what the user has. `observations`: by row, at most one a row and item; at least one.
absl::StatusOr<Learned> Learn(absl::Span<const Observation> observations, uint32_t rows, uint32_t items,
                              const v1::BatchConfig& config, const ServingWorld* world);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_LEARNING_LEARN_H_
