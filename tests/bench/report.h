#ifndef TRIBUTARY_TESTS_BENCH_REPORT_H_
#define TRIBUTARY_TESTS_BENCH_REPORT_H_

#include <string>

namespace tributary::bench {

// Prints one JSON object a line {bench, metric, value, unit, peer, peer_value, ratio} on stdout. Everything else that a
// benchmark has to say goes to stderr. `ratio` is value / peer_value.
class Report {
 public:
  explicit Report(std::string bench) : bench_(std::move(bench)) {}

  // Values must be finite; without a peer pass an empty name: the three fields are left out.
  void Add(const std::string& metric, double value, const std::string& unit, const std::string& peer = "",
           double peer_value = 0);

 private:
  std::string bench_;
};

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_REPORT_H_
