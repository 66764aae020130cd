#include "common/user_state/observations.h"

#include <algorithm>

#include "absl/types/span.h"

namespace tributary {

void AppendObservations(const UserHistory& history, const ObservationOptions& options,
                        std::vector<ItemObservation>* observations) {
  const absl::Span<const Decision> all = history.decisions();
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && all[end].item == all[begin].item) {
      ++end;
    }
    const absl::Span<const Decision> decisions = all.subspan(begin, end - begin);
    const Decision* const opinion = LatestOf(decisions, {v1::LIKE, v1::DISLIKE, v1::RATING});
    if (opinion != nullptr &&
        (opinion->kind == v1::DISLIKE || (opinion->kind == v1::RATING && static_cast<double>(opinion->value_micros) <=
                                                                             options.dislike_rating_at_most * 1e6))) {
      continue;
    }
    const Decision* const trade = LatestOf(decisions, {v1::PURCHASE, v1::RETURN});
    float weight = 0;
    int64_t latest = decisions.front().key.event_time_unix_ms;
    for (const Decision& decision : decisions) {
      const bool returned = decision.kind == v1::PURCHASE && trade->kind == v1::RETURN;
      const bool too_old = decision.key.event_time_unix_ms < options.since_unix_ms;
      weight += returned || too_old ? 0 : options.weights[decision.kind];
      latest = std::max(latest, decision.key.event_time_unix_ms);
    }
    if (weight > 0) {
      observations->push_back({decisions.front().item, weight, latest});
    }
  }
}

}  // namespace tributary
