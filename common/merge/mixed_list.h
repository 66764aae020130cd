#ifndef TRIBUTARY_COMMON_MERGE_MIXED_LIST_H_
#define TRIBUTARY_COMMON_MERGE_MIXED_LIST_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"

namespace tributary {

// The list of a user who has acted since the stored one was made: an item's score is
//   (1 - share) * stored(i) / best stored + share * folded(i) / best folded,
// 0 where a list does not have it. The best `length` with a score above 0, best first, ties by smaller item. A list without
// a score above 0 says nothing: then the other one counts alone. `share` 0 to 1; each list best first, each item once.
std::vector<ScoredItem> MixedList(absl::Span<const ScoredItem> stored, absl::Span<const ScoredItem> folded, double share,
                                  size_t length);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_MIXED_LIST_H_
