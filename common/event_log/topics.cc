#include "common/event_log/topics.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

constexpr int kDefaultPartitions = 4;
constexpr int kDefaultReplicationFactor = 1;
constexpr int64_t kDefaultRetentionHours = 168;

template <typename Number>
Number OrDefault(Number configured, Number otherwise) {
  return configured > 0 ? configured : otherwise;
}

// A compacted topic holds state, and what a reader restores from it should be near one record a key. The broker compacts
// only closed segments, so these close early; a tenth of waste starts a round; the last minute is left alone, so that a
// reader in step sees each record; tombstones stay for a day, so that a replica that was away for less hears of them.
std::vector<std::pair<std::string, std::string>> CompactionConfig() {
  return {{"segment.bytes", absl::StrCat(64 << 20)},
          {"segment.ms", absl::StrCat(absl::ToInt64Milliseconds(absl::Minutes(10)))},
          {"min.cleanable.dirty.ratio", "0.1"},
          {"min.compaction.lag.ms", absl::StrCat(absl::ToInt64Milliseconds(absl::Minutes(1)))},
          {"max.compaction.lag.ms", absl::StrCat(absl::ToInt64Milliseconds(absl::Hours(1)))},
          {"delete.retention.ms", absl::StrCat(absl::ToInt64Milliseconds(absl::Hours(24)))}};
}

}  // namespace

Topics::Topics(absl::string_view prefix)
    : events(absl::StrCat(prefix, "events")),
      items(absl::StrCat(prefix, "items")),
      users(absl::StrCat(prefix, "users")),
      rules(absl::StrCat(prefix, "rules")),
      speed_views(absl::StrCat(prefix, "speed-views")),
      live_counts(absl::StrCat(prefix, "live-counts")),
      snapshots(absl::StrCat(prefix, "snapshots")),
      dead_letters(absl::StrCat(prefix, "dead-letters")),
      late_events(absl::StrCat(prefix, "late-events")),
      alerts(absl::StrCat(prefix, "alerts")),
      verdicts(absl::StrCat(prefix, "verdicts")),
      window_counts(absl::StrCat(prefix, "window-counts")),
      recommendations(absl::StrCat(prefix, "recommendations")) {}

std::vector<TopicOptions> TopicsToCreate(const Topics& topics, const v1::KafkaConfig& config) {
  const int partitions = OrDefault(config.partitions(), kDefaultPartitions);
  const int replication_factor = OrDefault(config.replication_factor(), kDefaultReplicationFactor);
  const absl::Duration retention = absl::Hours(OrDefault(config.retention_hours(), kDefaultRetentionHours));

  const auto common = [&](const std::string& name, int count) {
    TopicOptions options{.name = name, .partitions = count, .replication_factor = replication_factor};
    options.config.emplace_back("message.timestamp.type", "LogAppendTime");
    // With three replicas an acknowledged record survives the loss of a broker, and one broker less stops no producer.
    if (replication_factor >= 3) {
      options.config.emplace_back("min.insync.replicas", "2");
    }
    return options;
  };
  const auto compacted = [&](const std::string& name, int count) {
    TopicOptions options = common(name, count);
    options.compacted = true;
    for (auto& setting : CompactionConfig()) {
      options.config.push_back(std::move(setting));
    }
    return options;
  };
  const auto stream = [&](const std::string& name, int count) {
    TopicOptions options = common(name, count);
    options.retention = retention;
    return options;
  };

  return {stream(topics.events, partitions),
          compacted(topics.items, 1),
          compacted(topics.users, partitions),
          compacted(topics.rules, 1),
          compacted(topics.speed_views, partitions),
          compacted(topics.live_counts, partitions),
          compacted(topics.snapshots, 1),
          stream(topics.dead_letters, partitions),
          stream(topics.late_events, partitions),
          stream(topics.alerts, 1),
          stream(topics.verdicts, partitions),
          stream(topics.window_counts, partitions),
          stream(topics.recommendations, partitions)};
}

}  // namespace tributary
