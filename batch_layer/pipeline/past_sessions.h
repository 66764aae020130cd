#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_PAST_SESSIONS_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_PAST_SESSIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/models/kind_weights.h"
#include "batch_layer/pipeline/event_store.h"
#include "common/sessions/session_index.h"

namespace tributary::batch {

// Of the session index, the newest.
inline constexpr size_t kMostSessions = 1'000'000;

// One user's sessions for the session index, those of anonymous visits too, as it names nobody: the items of the events
// from `from_unix_ms` on whose kind has a weight, in the order of event time.
std::vector<PastSession> SessionsOf(absl::Span<const DenseEvent> events, const KindWeights& weights, int64_t from_unix_ms);

// Cuts `sessions` to the newest `most`, in the order that they had; of equal time those further behind stay. Sessions that
// are added and cut piece by piece end as if they had been cut once.
void KeepNewest(size_t most, std::vector<PastSession>* sessions);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_PAST_SESSIONS_H_
