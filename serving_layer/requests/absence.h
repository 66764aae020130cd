#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_ABSENCE_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_ABSENCE_H_

#include <string>

#include "common/merge/merge.h"
#include "tributary/v1/recommendation_service.pb.h"

// What merge says of an absent item, in the words of the API. Pure functions.
namespace tributary::serving {

v1::WhyNotResponse::Cause CauseOf(Absence absence);
// One line for people. `input` is what was merged.
std::string Describe(const MergeExplanation& explanation, const MergeInput& input);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_ABSENCE_H_
