#ifndef TRIBUTARY_BATCH_LAYER_MODELS_CONTENT_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_CONTENT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/dense/factors.h"

namespace tributary::batch {

// Factors for items that nobody has touched, by what they are: so that a new item stands in the lists of those who like
// its kind (attribute-to-feature mapping: Gantner, Drumond, Freudenthaler, Rendle, Schmidt-Thieme: "Learning
// Attribute-to-Feature Mappings for Cold-Start Recommendations", ICDM 2010, with the mean for the mapping).
//
//   h_new = weight * sum over its features f of idf(f) m(f) / sum over its features of idf(f)
//   m(f) = sum over items i with f of n_i h_i / sum of n_i        n_i = users of item i
//   idf(f) = log(1 + items / items with f)
//
// Features that no touched item has are not there; an item without any keeps its factors.
//
// `features`: by item, of 0 .. feature_count - 1, each once. `item_users`: by item; 0: new. `weight`: 0 to 1. All as long
// as `items` has rows. Linear in the number of features times dimensions; answers which items were given factors, ascending.
std::vector<uint32_t> FillNewItems(absl::Span<const std::vector<uint32_t>> features, uint32_t feature_count,
                                   absl::Span<const uint32_t> item_users, float weight, Factors* items);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_CONTENT_H_
