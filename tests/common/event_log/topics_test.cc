#include "common/event_log/topics.h"

#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::Contains;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::map<std::string, TopicOptions> Created(const v1::KafkaConfig& config) {
  std::map<std::string, TopicOptions> by_name;
  for (TopicOptions& options : TopicsToCreate(Topics("shop."), config)) {
    by_name[options.name] = options;
  }
  return by_name;
}

TEST(TopicsTest, NamesCarryThePrefix) {
  EXPECT_EQ(Topics("shop.").speed_views, "shop.speed-views");
  EXPECT_EQ(Topics("").events, "events");
}

TEST(TopicsTest, EveryTopicIsCreatedOnceWithAppendTime) {
  const auto created = Created({});
  EXPECT_EQ(created.size(), 13u);
  for (const auto& [name, options] : created) {
    EXPECT_THAT(options.config, Contains(Pair("message.timestamp.type", "LogAppendTime"))) << name;
  }
}

TEST(TopicsTest, LiveTopicsHaveThePartitionsOfEvents) {
  v1::KafkaConfig config;
  config.set_partitions(12);
  auto created = Created(config);
  EXPECT_EQ(created["shop.events"].partitions, 12);
  EXPECT_EQ(created["shop.speed-views"].partitions, 12);
  EXPECT_EQ(created["shop.live-counts"].partitions, 12);
  EXPECT_EQ(created["shop.snapshots"].partitions, 1);
}

TEST(TopicsTest, StateTopicsAreCompactedAndKeepTombstonesForAWhile) {
  std::set<std::string> compacted;
  for (const auto& [name, options] : Created({})) {
    if (options.compacted) {
      compacted.insert(name);
      EXPECT_FALSE(options.retention.has_value()) << name;
      EXPECT_THAT(options.config, Contains(Pair("delete.retention.ms", "86400000"))) << name;
    } else {
      EXPECT_TRUE(options.retention.has_value()) << name;
    }
  }
  EXPECT_THAT(compacted, UnorderedElementsAre("shop.items", "shop.users", "shop.rules", "shop.speed-views",
                                              "shop.live-counts", "shop.snapshots"));
}

TEST(TopicsTest, RetentionAndReplicationComeFromTheConfiguration) {
  v1::KafkaConfig config;
  config.set_retention_hours(48);
  config.set_replication_factor(3);
  auto created = Created(config);
  EXPECT_EQ(created["shop.events"].retention, absl::Hours(48));
  EXPECT_EQ(created["shop.events"].replication_factor, 3);
  EXPECT_THAT(created["shop.events"].config, Contains(Pair("min.insync.replicas", "2")));
  EXPECT_EQ(Created({})["shop.events"].retention, absl::Hours(168));
}

}  // namespace
}  // namespace tributary
