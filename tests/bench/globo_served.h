#ifndef TRIBUTARY_TESTS_BENCH_GLOBO_SERVED_H_
#define TRIBUTARY_TESTS_BENCH_GLOBO_SERVED_H_

#include <vector>

#include "common/sessions/session_neighbours.h"
#include "tests/bench/globo_clicks.h"

namespace tributary::bench {

// All clicks through Publish, a real Kafka, tributary-speed and tributary-serving: each chosen one is predicted by
// Recommend when every click before it is visible, and none after it was published. The site has put its articles into
// the catalogue and run one batch before the first click, so that everything that is known of sessions is live.
//
// Time: serving judges ages by its clock, and a visitor's last click must lie within a day. So the clicks keep their
// order and proportions and are given times in the 20 hours before now; the half-life shrinks alike.
Ranks ReplayServed(const std::vector<Click>& clicks, const std::vector<bool>& chosen, SessionNeighbourOptions options);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_GLOBO_SERVED_H_
