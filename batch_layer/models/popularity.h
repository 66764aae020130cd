#ifndef TRIBUTARY_BATCH_LAYER_MODELS_POPULARITY_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_POPULARITY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "batch_layer/models/kind_weights.h"
#include "common/ids/ids.h"
#include "tributary/v1/event.pb.h"

namespace tributary::batch {

struct PopularityOptions {
  KindWeights weights = DefaultKindWeights();   // Each finite, 0 to 1,000.
  absl::Duration half_life = absl::Hours(24 * 30);   // > 0.
  absl::Time reference;                              // Usually the latest event time. Later events count as if of now.
};

// Time-decayed popularity: score(item) = sum over its events of weight(kind) * 2^(-(reference - event time) / half_life).
//
// Sums are in fixed point (2^-24), so that they are exact: any order of events and any cut into slices that are merged
// gives the same bits. An item may collect 2^39 (5e11) in all. Not thread-safe: one object a slice.
class Popularity {
 public:
  Popularity(uint32_t items, const PopularityOptions& options);

  // `item` below the number of items.
  void Add(v1::EventType kind, ItemNumber item, absl::Time event_time);
  // Adds a slice with the same items and options.
  void Merge(const Popularity& slice);

  double Score(ItemNumber item) const;
  // The n items with the highest scores above 0, best first, ties by smaller item.
  std::vector<ScoredItem> Top(size_t n) const;
  // The same within each category. `categories_of` gives an item's categories.
  std::map<std::string, std::vector<ScoredItem>> TopByCategory(
      size_t n, absl::FunctionRef<std::vector<std::string>(ItemNumber)> categories_of) const;

 private:
  const PopularityOptions options_;
  std::vector<int64_t> sums_;   // By item, in units of 2^-24.
};

// The same for each of some segments of users. Memory: some 32 bytes an item that a segment touched. Not thread-safe.
class SegmentPopularity {
 public:
  explicit SegmentPopularity(const PopularityOptions& options) : options_(options) {}

  void Add(uint32_t segment, v1::EventType kind, ItemNumber item, absl::Time event_time);
  // By segment, as Popularity::Top; segments without an item are absent.
  std::map<uint32_t, std::vector<ScoredItem>> Top(size_t n) const;

 private:
  const PopularityOptions options_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, int64_t> sums_;   // By segment and item, in units of 2^-24.
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_POPULARITY_H_
