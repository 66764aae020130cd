#ifndef TRIBUTARY_COMMON_EVENT_LOG_TOPICS_H_
#define TRIBUTARY_COMMON_EVENT_LOG_TOPICS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/event_log/event_log.h"
#include "tributary/v1/config.pb.h"

namespace tributary {

// Full names of the topics: the configured prefix and the names of the design.
struct Topics {
  explicit Topics(absl::string_view prefix);

  std::string events;
  std::string items;
  std::string users;
  std::string rules;
  std::string speed_views;
  std::string live_counts;
  std::string snapshots;
  std::string dead_letters;
  std::string late_events;
  std::string alerts;
  std::string verdicts;
  std::string window_counts;
  std::string recommendations;
};

// Key of the progress record in `speed-views`. User ids hold no control characters, so none can be equal.
inline constexpr absl::string_view kProgressKey = "\x01progress";
// Header of a tombstone in `speed-views`: a serialized ViewPosition.
inline constexpr absl::string_view kPositionHeader = "position";

// How each topic is created: `events`, `speed-views` and `live-counts` with the same partition count, all with
// LogAppendTime, state topics compacted.
std::vector<TopicOptions> TopicsToCreate(const Topics& topics, const v1::KafkaConfig& config);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_LOG_TOPICS_H_
