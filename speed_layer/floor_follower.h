#ifndef TRIBUTARY_SPEED_LAYER_FLOOR_FOLLOWER_H_
#define TRIBUTARY_SPEED_LAYER_FLOOR_FOLLOWER_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/event_log/event_log.h"
#include "speed_layer/floor_tracker.h"

namespace tributary::speed {

// Follows the topic `snapshots` for the floors. Not thread-safe.
class FloorFollower {
 public:
  // `log` is borrowed and must outlive this.
  FloorFollower(EventLog& log, std::string topic) : log_(log), topic_(std::move(topic)) {}

  // Reads what is new, without waiting; true when there was something. After a failure the next call starts anew.
  absl::StatusOr<bool> Poll();
  // All that was announced when the following began has been read: floors may be relied on.
  bool ready() const { return reader_ != nullptr && behind_.empty(); }
  Floor FloorOf(PartitionId partition) const { return tracker_.FloorOf(partition); }

 private:
  absl::Status Open();
  absl::StatusOr<bool> Read();

  EventLog& log_;
  const std::string topic_;
  FloorTracker tracker_;
  std::unique_ptr<LogReader> reader_;
  std::map<TopicPartition, Offset> behind_;  // Partitions not read to the end that was seen at the beginning.
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_FLOOR_FOLLOWER_H_
