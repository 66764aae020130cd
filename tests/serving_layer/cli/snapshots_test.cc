#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/snapshot.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/common/snapshot/shop.h"
#include "tests/serving_layer/cli/command_line_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class SnapshotsCommandTest : public CommandLineTest {
 protected:
  int RunOn(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--set", absl::StrCat("storage { snapshots_dir: \"", dir.path(), "\" }")});
    return Run(arguments);
  }
  void Write(int64_t generation) {
    auto writer = SnapshotWriter::Create(dir.path(), Generation{generation});
    ASSERT_TRUE(writer.ok()) << writer.status();
    v1::Item item;
    item.set_item_id("a");
    ASSERT_TRUE((*writer)->WriteItems({item}).ok());
    ASSERT_TRUE((*writer)->WriteNeighbours(std::vector<std::vector<ScoredItem>>(1)).ok());
    const auto manifest = (*writer)->Finish(v1::SnapshotManifest());
    ASSERT_TRUE(manifest.ok()) << manifest.status();
  }
};

TEST_F(SnapshotsCommandTest, ListActivateAndRollback) {
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk) << err.str();
  EXPECT_EQ(out.str(), "no snapshots\n");
  Write(1);
  Write(2);
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitRefused);
  EXPECT_EQ(RunOn({"snapshots", "activate", "2"}), kExitOk) << err.str();
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("2*"));
  EXPECT_EQ(RunOn({"snapshots", "list", "--json"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("\"generation\":\"2\""), HasSubstr("\"serving\":true"), Not(HasSubstr("\"files\""))));
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitOk);
  EXPECT_EQ(out.str(), "snapshot 1 is current\n");
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("current=1"));
  EXPECT_EQ(RunOn({"snapshots", "activate", "7"}), kExitRefused);
  EXPECT_EQ(RunOn({"snapshots", "activate", "0"}), kExitUsage);
}

TEST_F(SnapshotsCommandTest, RollbackPassesByWhatTheGateRefused) {
  for (int64_t generation = 1; generation <= 3; ++generation) Write(generation);
  v1::GateVerdict verdict;
  verdict.set_generation(2);
  verdict.set_outcome(v1::GateVerdict::REFUSED);
  ASSERT_TRUE(WriteGateVerdict(dir.path(), verdict).ok());
  ASSERT_EQ(RunOn({"snapshots", "activate", "3"}), kExitOk);
  EXPECT_EQ(RunOn({"snapshots", "rollback"}), kExitOk) << err.str();
  EXPECT_EQ(out.str(), "snapshot 1 is current\n");
  EXPECT_EQ(RunOn({"snapshots", "list"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("refused"));
  EXPECT_EQ(RunOn({"snapshots", "list", "--json"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("\"outcome\":\"REFUSED\""));
}

TEST_F(SnapshotsCommandTest, VerifyFindsADamagedFile) {
  Write(1);
  ASSERT_EQ(RunOn({"snapshots", "activate", "1"}), kExitOk);
  EXPECT_EQ(RunOn({"snapshots", "verify"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("snapshot 1 is whole"));
  const std::string path = dir.Join("1/items.bin");
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  EXPECT_EQ(RunOn({"snapshots", "verify", "1"}), kExitFailed);
  EXPECT_THAT(err.str(), HasSubstr("items.bin"));
}

TEST_F(SnapshotsCommandTest, DiffShowsCountsMetricsWAndChurn) {
  v1::SnapshotManifest manifest;
  auto* watermark = manifest.add_watermarks();
  watermark->set_partition(1);
  watermark->set_watermark(10);
  auto* metric = manifest.add_metrics();
  metric->set_name("ndcg_at_20");
  metric->set_value(0.25);
  ASSERT_TRUE(sample::WriteShop(dir.path(), Generation{1}, {.items = 40}, manifest).ok());
  watermark->set_watermark(70);
  metric->set_value(0.2);
  manifest.add_watermarks()->set_partition(2);
  manifest.mutable_watermarks(1)->set_watermark(5);
  manifest.set_config_digest("other");
  ASSERT_TRUE(sample::WriteShop(dir.path(), Generation{2}, {.users = 330, .items = 40, .shift = 5}, manifest).ok());

  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "2"}), kExitOk) << err.str();
  EXPECT_THAT(
      out.str(),
      AllOf(ContainsRegex("users +300 +330 +.10.00 %\n"), ContainsRegex("ndcg_at_20 +0.2500 +0.2000 +-20.00 %\n"),
            ContainsRegex("W of partition 1 +10 +70 +.60\n"), ContainsRegex("W of partition 2 +0 +5 +.5\n"),
            HasSubstr("lists: 25.0 %; of the popular items: 25.0 %\n"),
            HasSubstr("other content, other batch configuration\n")));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "2", "--json"}), kExitOk) << err.str();
  v1::SnapshotDiff diff;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out.str(), &diff).ok()) << out.str();
  EXPECT_EQ(diff.watermarks_size(), 2);
  EXPECT_DOUBLE_EQ(diff.list_churn(), 0.25);
  EXPECT_FALSE(diff.same_content());

  EXPECT_EQ(RunOn({"snapshots", "diff", "2", "2"}), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("same content\n"));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1", "7"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("generation=7"));
  EXPECT_EQ(RunOn({"snapshots", "diff", "1"}), kExitUsage);
}

TEST_F(SnapshotsCommandTest, ACanaryIsStartedShownAndStopped) {
  EXPECT_EQ(Run({"snapshots", "canary", "start", "7", "--percent", "12.5"}), kExitOk);
  EXPECT_EQ(server.start_canary_request.generation(), 7);
  EXPECT_EQ(server.start_canary_request.percent(), 12.5);
  EXPECT_EQ(Run({"snapshots", "canary", "start", "7"}), kExitUsage);
  EXPECT_EQ(Run({"snapshots", "canary", "start", "7", "--percent", "101"}), kExitUsage);
  EXPECT_EQ(Run({"snapshots", "canary", "status"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("no canary runs"));
  server.canary.mutable_canary()->set_generation(7);
  server.canary.mutable_canary()->set_percent(12.5);
  server.canary.mutable_canary()->set_current_generation(6);
  server.canary.set_refused("floor=3");
  EXPECT_EQ(Run({"snapshots", "canary", "status"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("snapshot 7 for 12.5 % of the users since 1970-01-01 00:00:00, beside snapshot 6: refused "
                                   "by this server: floor=3\n"));
  EXPECT_EQ(Run({"snapshots", "canary", "stop"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("canary of snapshot 7 stopped"));
}

}  // namespace
}  // namespace tributary::serving
