#include "common/config/config.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(ConfigTest, DefaultsAreCompleteAndValid) {
  EXPECT_TRUE(ValidateConfig(DefaultConfig()).ok());
  const auto config = LoadConfig("", {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->DebugString(), DefaultConfig().DebugString());
}

TEST(ConfigTest, TheCommentedSampleHoldsTheDefaults) {
  const auto config = LoadConfig(TRIBUTARY_SAMPLE_CONFIG, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->DebugString(), DefaultConfig().DebugString());
}

TEST(ConfigTest, FileOverridesDefaultsAndSetOverridesTheFile) {
  const TempDir dir;
  const std::string file = dir.Write("config.textproto", "kafka { brokers: 'a:1' partitions: 8 }");
  const auto config = LoadConfig(file, {"kafka { brokers: 'b:2' }"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->kafka().brokers(), "b:2");
  EXPECT_EQ(config->kafka().partitions(), 8);
  EXPECT_EQ(config->speed().checkpoint_ms(), 200);
}

TEST(ConfigTest, AnExplicitZeroIsNotTheDefault) {
  const auto config = LoadConfig("", {"merge { fallback_weight: 0 }"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->merge().fallback_weight(), 0);
}

TEST(ConfigTest, OneGivenListEntryReplacesTheDefaultList) {
  const auto config = LoadConfig("", {"merge { category_effects { kind: VIEW strength: 1 half_life_seconds: 60 } }"});
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->merge().category_effects_size(), 1);
  EXPECT_EQ(config->merge().category_effects(0).strength(), 1);
}

TEST(ConfigTest, AMissingFileIsNamed) {
  const auto config = LoadConfig("/nowhere/config.textproto", {});
  EXPECT_EQ(config.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(config.status().message(), HasSubstr("/nowhere/config.textproto"));
}

TEST(ConfigTest, AnUnknownFieldIsNamedWithItsLine) {
  const TempDir dir;
  const std::string file = dir.Write("config.textproto", "kafka {\n  brokrs: 'a:1'\n}\n");
  const auto config = LoadConfig(file, {});
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(config.status().message(), HasSubstr("line=2"));
  EXPECT_THAT(config.status().message(), HasSubstr("brokrs"));
}

TEST(ConfigTest, AFieldGivenTwiceInOneFileIsRefused) {
  const TempDir dir;
  const std::string file = dir.Write("config.textproto", "kafka { partitions: 2 partitions: 3 }");
  EXPECT_EQ(LoadConfig(file, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

struct OutOfRange {
  const char* text;
  const char* field;
};

class ConfigRangeTest : public ::testing::TestWithParam<OutOfRange> {};

TEST_P(ConfigRangeTest, IsRefusedByName) {
  const auto config = LoadConfig("", {GetParam().text});
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(config.status().message(), HasSubstr(GetParam().field));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigRangeTest,
    ::testing::Values(OutOfRange{"kafka { brokers: '' }", "kafka.brokers"},
                      OutOfRange{"kafka { partitions: 0 }", "kafka.partitions"},
                      OutOfRange{"kafka { segment_size: 1000 }", "kafka.segment_size"},
                      OutOfRange{"storage { snapshots_dir: '' }", "storage.snapshots_dir"},
                      OutOfRange{"batch { list_length: 1001 }", "batch.list_length"},
                      OutOfRange{"batch { retained_generations: 1 }", "batch.retained_generations"},
                      OutOfRange{"batch { ials { dimensions: 12 } }", "batch.ials.dimensions"},
                      OutOfRange{"batch { ials { regularization: nan } }", "batch.ials.regularization"},
                      OutOfRange{"batch { item_item { links: 0 } }", "batch.item_item.links"},
                      OutOfRange{"batch { blend { ials_weight: 1.1 } }", "batch.blend.ials_weight"},
                      OutOfRange{"batch { gate { max_list_churn: 1.1 } }", "batch.gate.max_list_churn"},
                      OutOfRange{"batch { gate { max_growth: 0.9 } }", "batch.gate.max_growth"},
                      OutOfRange{"batch { kind_weights { kind: VIEW weight: -1 } }", "batch.kind_weights"},
                      OutOfRange{"speed { checkpoint_ms: 9 }", "speed.checkpoint_ms"},
                      OutOfRange{"speed { memory_budget_bytes: 1000 }", "speed.memory_budget_bytes"},
                      OutOfRange{"serving { snapshot_poll_ms: 9 }", "serving.snapshot_poll_ms"},
                      OutOfRange{"merge { session_weight: inf }", "merge.session_weight"},
                      OutOfRange{"merge { category_effects { kind: VIEW strength: 1 } }", "merge.category_effects"}));

}  // namespace
}  // namespace tributary
