// Garbage on a real Kafka goes to dead-letters with its reason, every byte of it, while its neighbours are served; bad
// snapshots, configurations and addresses give one clear line.
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/event_log/event_log.h"
#include "tests/integration/installation.h"
#include "tributary/v1/dead_letter.pb.h"

namespace tributary::integration {
namespace {

using ::google::protobuf::util::TimeUtil;
using ::testing::HasSubstr;
using ::testing::Not;

struct BadRecord {
  std::string value;
  v1::RejectCause cause;
  std::string field;
};

v1::Event GoodEvent(const std::string& user, const std::string& item) {
  v1::Event event;
  event.set_user_id(user);
  event.set_type(v1::PURCHASE);
  event.set_item_id(item);
  event.set_value(2.5);
  *event.mutable_event_time() = TimeUtil::GetCurrentTime();
  return event;
}

std::vector<BadRecord> BadRecords() {
  std::vector<BadRecord> records = {
      {"\xff\xff\xff not a message", v1::MALFORMED, ""},
      {"{\"userId\": \"u\", \"typo\": 1}", v1::MALFORMED, "typo"},
      {"{\"userId\": ", v1::MALFORMED, ""},
      {std::string(100 * 1024, 'x'), v1::OVERSIZED, ""},
  };
  const auto add = [&](v1::Event event, v1::RejectCause cause, const std::string& field) {
    records.push_back({event.SerializeAsString(), cause, field});
  };
  v1::Event event = GoodEvent("u", "i");
  event.set_value(-1);
  add(event, v1::BAD_VALUE, "value");
  event = GoodEvent("u", "i");
  event.clear_user_id();
  add(event, v1::MISSING_FIELD, "user_id");
  event = GoodEvent("u", "i");
  *event.mutable_event_time() = TimeUtil::SecondsToTimestamp(TimeUtil::TimestampToSeconds(event.event_time()) + 864000);
  add(event, v1::TIME_IN_FUTURE, "event_time");
  // Field 1 (user_id), two bytes that are not UTF-8, then the rest of a good event.
  event = GoodEvent("", "i");
  event.clear_user_id();
  records.push_back({absl::StrCat(std::string("\x0a\x02\xc3\x28", 4), event.SerializeAsString()), v1::NOT_UTF8, "user_id"});
  return records;
}

TEST(BadInputTest, GarbageIsDeadLetteredWhileItsNeighboursAreServed) {
  Installation installation("garbage", 1);
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  auto producer = installation.log().OpenProducer();
  ASSERT_TRUE(producer.ok()) << producer.status();

  const std::vector<BadRecord> bad = BadRecords();
  std::map<int64_t, const BadRecord*> expected;   // By offset.
  const auto produce = [&](const std::string& key, const std::string& value) {
    const auto position = (*producer)->Produce(
        {.topic = installation.topic("events"), .partition = PartitionId{0}, .key = key, .value = value}, absl::Seconds(30));
    EXPECT_TRUE(position.ok()) << position.status();
    return Value(position->offset);
  };
  int good = 0;
  for (const BadRecord& record : bad) {
    produce("u", GoodEvent("u", absl::StrCat("item-", ++good)).SerializeAsString());
    expected[produce("u", record.value)] = &record;
  }
  produce("u", GoodEvent("u", absl::StrCat("item-", ++good)).SerializeAsString());
  installation.AwaitCaughtUp();
  installation.AwaitCounted(good);

  const auto totals = installation.Totals(v1::OVERALL);
  ASSERT_EQ(totals.totals_size(), 1);
  EXPECT_EQ(totals.totals(0).events(), good);
  EXPECT_EQ(totals.totals(0).value_micros(), good * 2'500'000);

  auto reader = installation.log().OpenReader(Isolation::kCommitted);
  ASSERT_TRUE(reader.ok() && (*reader)->Start({installation.topic("dead-letters"), PartitionId{0}}, Offset{0}).ok());
  std::map<int64_t, v1::DeadLetter> letters;
  Await("all dead letters", [&] {
    const auto polled = (*reader)->Poll(absl::Milliseconds(100), 100);
    EXPECT_TRUE(polled.ok()) << polled.status();
    for (const LogEvent& entry : *polled) {
      if (const auto* record = std::get_if<LogRecord>(&entry)) {
        v1::DeadLetter letter;
        EXPECT_TRUE(letter.ParseFromString(*record->value));
        letters[letter.source().offset()] = letter;
      }
    }
    return letters.size() >= expected.size();
  });
  ASSERT_EQ(letters.size(), expected.size());
  for (const auto& [offset, record] : expected) {
    const v1::DeadLetter& letter = letters[offset];
    EXPECT_EQ(letter.cause(), record->cause) << letter.reason();
    EXPECT_EQ(letter.field(), record->field) << letter.reason();
    EXPECT_EQ(letter.original_value(), record->value);
    EXPECT_EQ(letter.original_key(), "u");
    EXPECT_FALSE(letter.reason().empty());
  }
}

// The last line of a program that must have failed without crashing.
std::string ErrorOf(const Finished& finished) {
  EXPECT_GT(finished.exit_status, 0) << finished.output;
  EXPECT_LT(finished.exit_status, 128) << "ended by a signal: " << finished.output;
  const std::vector<std::string> lines = absl::StrSplit(finished.output, '\n', absl::SkipWhitespace());
  EXPECT_FALSE(lines.empty());
  return lines.empty() ? "" : lines.back();
}

// Every program, started with this change to its configuration, must fail and name `cause`.
void ExpectAllName(const std::string& cause, const std::string& setting) {
  Installation installation("badconfig", 1);
  const std::map<std::string, std::vector<std::string>> commands = {
      {"tributary", {"topics", "create"}}, {"tributary-batch", {"run"}}, {"tributary-speed", {}}, {"tributary-serving", {}}};
  for (const auto& [binary, command] : commands) {
    std::vector<std::string> arguments = {"--config", installation.config_path(), "--set", setting};
    arguments.insert(arguments.end(), command.begin(), command.end());
    EXPECT_THAT(ErrorOf(installation.Run(binary, arguments)), HasSubstr(cause)) << binary;
  }
}

TEST(BadInputTest, EveryProgramNamesAnUnknownConfigurationField) { ExpectAllName("brokrs", "kafka { brokrs: 'x' }"); }

TEST(BadInputTest, EveryProgramNamesAnUnreachableBroker) {
  ExpectAllName("127.0.0.1:9", "kafka { brokers: '127.0.0.1:9' }");
}

TEST(BadInputTest, ServingNamesAMissingSnapshotDirectory) {
  Installation installation("nodir", 1);
  const Finished finished = installation.Run(
      "tributary-serving",
      {"--config", installation.config_path(), "--set", "storage { snapshots_dir: '/nowhere/snapshots' }"});
  EXPECT_THAT(ErrorOf(finished), HasSubstr("/nowhere/snapshots"));
}

// Builds generation 1 from some views of user-0 to user-6, and waits until it is served.
void ServeFirstSnapshot(Installation& installation) {
  for (int n = 0; n < 50; ++n) {
    installation.Publish(absl::StrCat("user-", n % 7), v1::VIEW, absl::StrCat("item-", n % 11));
  }
  installation.RunBatch();
  installation.AwaitGeneration(1);
}

TEST(BadInputTest, ATruncatedSnapshotIsRefusedAndTheLastGoodOneServes) {
  Installation installation("truncated", 1);
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  ServeFirstSnapshot(installation);
  const Finished second = installation.Run("tributary-batch", {"--config", installation.config_path(), "run", "--no-activate"});
  ASSERT_EQ(second.exit_status, 0) << second.output;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(installation.dir() + "/snapshots/2")) {
    if (entry.path().extension() == ".sst") {
      std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
    }
  }
  // Whoever copies files may also name a broken snapshot: the command would refuse to.
  const Finished activated = installation.Run("tributary", {"--config", installation.config_path(), "snapshots", "activate", "2"});
  EXPECT_THAT(ErrorOf(activated), HasSubstr(".sst"));
  {
    const std::string current = installation.dir() + "/snapshots/CURRENT";
    const std::string copied = current + ".copied";
    std::filesystem::remove(copied);
    FILE* file = fopen(copied.c_str(), "w");
    ASSERT_NE(file, nullptr);
    fputs("2\n", file);
    fclose(file);
    std::filesystem::rename(copied, current);
  }
  Await("the broken snapshot is named as refused", [&] {
    grpc::ClientContext context;
    v1::ListSnapshotsResponse response;
    if (!installation.admin().ListSnapshots(&context, {}, &response).ok()) {
      return false;
    }
    for (const auto& snapshot : response.snapshots()) {
      if (snapshot.manifest().generation() == 2 && !snapshot.refused().empty()) {
        EXPECT_THAT(snapshot.refused(), HasSubstr(".sst"));
        return true;
      }
    }
    return false;
  });
  EXPECT_EQ(installation.Recommend("user-1").freshness().generation(), 1);
}

TEST(BadInputTest, AnUnknownUserGetsTheFallbackWithItsFlag) {
  Installation installation("unknown", 1);
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  ServeFirstSnapshot(installation);
  const auto response = installation.Recommend("a-stranger", 5);
  EXPECT_EQ(response.items_size(), 5);
  EXPECT_THAT(response.freshness().degraded(), ::testing::Contains(v1::UNKNOWN_USER));
}

}  // namespace
}  // namespace tributary::integration
