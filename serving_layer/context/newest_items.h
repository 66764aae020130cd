#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_NEWEST_ITEMS_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_NEWEST_ITEMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"

namespace tributary::serving {

// The items that came last: by the start of their availability, the latest first, then id; without deleted ones and those
// that always were.
//
// Twice as many as asked for are remembered, so that changes cost what these do; only when more than half of them are gone
// is the whole catalogue looked at.
// Threads: not thread-safe.
class NewestItems {
 public:
  explicit NewestItems(size_t most) : most_(most) {}

  void Rebuild(const Catalogue& catalogue);
  // From one catalogue to the next, which differ in `changed` alone: numbers of `now`, in any order, repeats allowed.
  void Update(const Catalogue& before, const Catalogue& now, std::vector<ItemNumber> changed);

  // At most `most`.
  absl::Span<const ItemNumber> items() const { return absl::MakeConstSpan(items_).subspan(0, most_); }

 private:
  size_t most_;
  std::vector<ItemNumber> items_;
  bool complete_ = true;  // There are no others.
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_NEWEST_ITEMS_H_
