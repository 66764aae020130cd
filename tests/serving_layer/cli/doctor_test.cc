#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/event_log/topics.h"
#include "common/snapshot/snapshot.h"
#include "tests/serving_layer/cli/command_line_fixture.h"
#include "tributary/v1/speed.pb.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DoctorTest : public CommandLineTest {
 protected:
  void CreateTopics() {
    config.set_partitions(2);
    ASSERT_TRUE(log.CreateTopics(TopicsToCreate(Topics(""), config)).ok());
  }
  int RunDoctor() {
    return Run({"doctor", "--set", absl::StrCat("storage { snapshots_dir: '", dir.path(), "' }")});
  }
  void Put(const std::string& topic, const std::string& key, std::optional<std::string> value, int partition) {
    if (producer == nullptr) {
      producer = *log.OpenProducer();
    }
    ASSERT_TRUE(producer
                    ->Produce({.topic = topic, .partition = PartitionId{partition}, .key = key, .value = std::move(value), .headers = {}},
                              absl::Seconds(1))
                    .ok());
  }
  void WriteSnapshot(int64_t watermark) {
    auto writer = *SnapshotWriter::Create(dir.path(), Generation{1});
    ASSERT_TRUE(writer->WriteItems({}).ok());
    ASSERT_TRUE(writer->WriteNeighbours({}).ok());
    v1::SnapshotManifest manifest;
    manifest.set_segment_size(1024);
    v1::PartitionWatermark* mark = manifest.add_watermarks();
    mark->set_partition(0);
    mark->set_watermark(watermark);
    ASSERT_TRUE(writer->Finish(manifest).ok());
    ASSERT_TRUE(SnapshotStore(dir.path()).Activate(Generation{1}).ok());
  }

  v1::KafkaConfig config;
  std::unique_ptr<LogProducer> producer;
};

TEST_F(DoctorTest, ASoundInstallationIsFoundSound) {
  CreateTopics();
  Put("events", "ann", "", 0);
  WriteSnapshot(1);
  Put("speed-views", "ann", v1::SpeedView().SerializeAsString(), Value(PartitionOfKey("ann", 2)));
  EXPECT_EQ(RunDoctor(), kExitOk) << out.str() << err.str();
  EXPECT_THAT(out.str(), Not(AllOf(HasSubstr("ERROR"), HasSubstr("warning"))));
  EXPECT_THAT(out.str(), HasSubstr("1 live users, each on one partition"));
}

TEST_F(DoctorTest, MissingTopicsAndUnequalPartitionsAreErrors) {
  ASSERT_TRUE(log.CreateTopics({{.name = "events", .partitions = 2}, {.name = "speed-views", .partitions = 3}}).ok());
  EXPECT_EQ(RunDoctor(), kExitFailed);
  EXPECT_THAT(out.str(), HasSubstr("live-counts is missing"));
  EXPECT_THAT(out.str(), HasSubstr("speed-views has 3 partitions where events has 2"));
}

TEST_F(DoctorTest, ATopicWithTimesOfItsProducersIsAnError) {
  config.set_partitions(1);
  std::vector<TopicOptions> topics = TopicsToCreate(Topics(""), config);
  for (TopicOptions& topic : topics) {
    if (topic.name == "events") {
      topic.config = {{"message.timestamp.type", "CreateTime"}};
    }
    if (topic.name == "items") {
      topic.compacted = false;
    }
  }
  ASSERT_TRUE(log.CreateTopics(topics).ok());
  EXPECT_EQ(RunDoctor(), kExitFailed);
  EXPECT_THAT(out.str(), HasSubstr("events has message.timestamp.type=CreateTime"));
  EXPECT_THAT(out.str(), HasSubstr("items has cleanup.policy="));
}

TEST_F(DoctorTest, RetentionThatHasPassedWNamesTheHole) {
  CreateTopics();
  for (int i = 0; i < 5; ++i) {
    Put("events", "ann", "", 0);
  }
  WriteSnapshot(2);
  EXPECT_EQ(RunDoctor(), kExitOk) << out.str();
  log.TruncateBefore({"events", PartitionId{0}}, Offset{4});
  EXPECT_EQ(RunDoctor(), kExitFailed);
  EXPECT_THAT(out.str(), HasSubstr("partition 0: retention has passed W: events 2 to 4"));
  v1::Progress progress;
  progress.set_gap_end_offset(4);
  Put("speed-views", std::string(kProgressKey), progress.SerializeAsString(), 0);
  EXPECT_EQ(RunDoctor(), kExitFailed);
  EXPECT_THAT(out.str(), HasSubstr("the speed layer did not read what lay below 4"));
}

TEST_F(DoctorTest, ATopicThatWasMadeAnewIsAnError) {
  CreateTopics();
  WriteSnapshot(2);
  EXPECT_EQ(RunDoctor(), kExitFailed);
  EXPECT_THAT(out.str(), HasSubstr("ends at 0 below W 2"));
}

TEST_F(DoctorTest, ScatteredUsersAreCountedByWhatIsLeftOfThem) {
  CreateTopics();
  const std::string view = v1::SpeedView().SerializeAsString();
  for (const int partition : {0, 1}) {
    Put("speed-views", "ann", view, partition);
    Put("speed-views", "bob", view, partition);
  }
  Put("speed-views", "bob", std::nullopt, Value(PartitionOfKey("bob", 2)) == 0 ? 1 : 0);
  EXPECT_EQ(RunDoctor(), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("1 of 2 live users are on more than one partition, such as ann"));
  Put("speed-views", "ann", std::nullopt, Value(PartitionOfKey("ann", 2)));
  EXPECT_EQ(RunDoctor(), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("1 of 2 live users are not where Publish would put them"));
}

TEST_F(DoctorTest, SaysTheSameAsJson) {
  CreateTopics();
  EXPECT_EQ(Run({"doctor", "--json", "--set", absl::StrCat("storage { snapshots_dir: '", dir.path(), "' }")}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr(R"("check":"retention")"));
  EXPECT_THAT(out.str(), HasSubstr(R"("grade":"warning")"));
}

}  // namespace
}  // namespace tributary::serving
