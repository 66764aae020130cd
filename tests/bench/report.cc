#include "tests/bench/report.h"

#include <cmath>
#include <iostream>

#include <glog/logging.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

namespace tributary::bench {

void Report::Add(const std::string& metric, double value, const std::string& unit, const std::string& peer,
                 double peer_value) {
  CHECK(std::isfinite(value) && std::isfinite(peer_value)) << metric;
  google::protobuf::Struct line;
  auto& fields = *line.mutable_fields();
  fields["bench"].set_string_value(bench_);
  fields["metric"].set_string_value(metric);
  fields["value"].set_number_value(value);
  fields["unit"].set_string_value(unit);
  if (!peer.empty()) {
    fields["peer"].set_string_value(peer);
    fields["peer_value"].set_number_value(peer_value);
    fields["ratio"].set_number_value(value / peer_value);
  }
  std::string json;
  CHECK(google::protobuf::util::MessageToJsonString(line, &json).ok()) << metric;
  std::cout << json << std::endl;
}

}  // namespace tributary::bench
