#ifndef TRIBUTARY_SPEED_LAYER_FLOOR_TRACKER_H_
#define TRIBUTARY_SPEED_LAYER_FLOOR_TRACKER_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "common/event_log/event_log.h"
#include "common/ids/ids.h"

namespace tributary::speed {

// The floor of one partition, and what is known of the log around it.
struct Floor {
  Offset offset{};                  // The smallest W of any snapshot that is not retired; 0 when there is none.
  int64_t record_time_unix_ms = 0;  // Running maximum of broker append time below it; 0: not known.
  Offset highest_watermark{};       // The greatest W of any of them: the partition must reach at least this far.
  friend bool operator==(const Floor&, const Floor&) = default;
};

// Turns the records of the compacted topic `snapshots` into floors. A generation that does not name a partition has
// W = 0 there. Pure; not thread-safe.
class FloorTracker {
 public:
  // InvalidArgument: not an announcement; the generation stays as it was known, so that a bad record never raises a
  // floor.
  absl::Status Apply(const LogRecord& record);

  Floor FloorOf(PartitionId partition) const;
  // Generations that are not retired.
  size_t retained() const { return retained_.size(); }

 private:
  struct Watermark {
    Offset offset{};
    int64_t record_time_unix_ms = 0;
  };
  std::map<std::string, std::map<PartitionId, Watermark>> retained_;  // By the record key: the generation in decimal.
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_FLOOR_TRACKER_H_
