#ifndef TRIBUTARY_COMMON_USER_STATE_OBSERVATIONS_H_
#define TRIBUTARY_COMMON_USER_STATE_OBSERVATIONS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "common/ids/ids.h"
#include "common/user_state/user_history.h"
#include "tributary/v1/event.pb.h"

namespace tributary {

// What one event of a kind says for its item, >= 0; 0: nothing. By EventType.
using KindWeights = std::array<float, v1::EventType_ARRAYSIZE>;

// What a user's long-term state says for an item.
struct ItemObservation {
  ItemNumber item{};
  float weight = 0;            // > 0
  int64_t latest_unix_ms = 0;  // Of its decisions.
};

// How the models see a user, for training and for folding a user in.
struct ObservationOptions {
  KindWeights weights{};
  double dislike_rating_at_most = 0;
  int64_t since_unix_ms = INT64_MIN;
};

// Appends by ascending item: the sum of the weights of its kinds. A purchase that was returned says nothing; an item
// whose latest opinion (like, dislike, rating) is a dislike, or a rating of at most `dislike_rating_at_most`, says
// nothing at all; nor do decisions before `since_unix_ms`.
void AppendObservations(const UserHistory& history, const ObservationOptions& options,
                        std::vector<ItemObservation>* observations);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_USER_STATE_OBSERVATIONS_H_
