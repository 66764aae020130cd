#ifndef TRIBUTARY_COMMON_MERGE_LIVE_FACTS_H_
#define TRIBUTARY_COMMON_MERGE_LIVE_FACTS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"
#include "common/merge/merge.h"
#include "common/user_state/fact.h"
#include "common/user_state/user_history.h"

namespace tributary {

// A fact of the speed layer in terms of one catalogue and one watermark.
struct LiveFact {
  const Fact* fact = nullptr;
  EventPosition position;
  std::optional<ItemNumber> item;   // Unset: the fact has none, or the catalogue does not know it.
  bool above_watermark = false;     // Its long-term effect counts here.
};

// The kinds that say what a session is about: those that the batch layer learns items from, by its defaults.
bool IsSessionKind(EventType kind);

// All facts of a user's partitions that FORGET does not hide, by event time, then position; `history` (the snapshot's state
// or empty) takes in what lies at or above W.
// FailedPrecondition: a watermark lies below its partition's floor.
absl::Status ReadLiveFacts(absl::Span<const LivePartition> partitions, const Catalogue& catalogue, UserHistory* history,
                           std::vector<LiveFact>* facts);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_LIVE_FACTS_H_
