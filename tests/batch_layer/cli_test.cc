#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::HasSubstr;

// The program as a scheduler sees it: exit codes and lines.
class CliTest : public testing::Test {
 protected:
  CliTest() {
    config_ = dir_.Write("config", "storage { snapshots_dir: '" + dir_.Join("snapshots") + "' history_dir: '" +
                                       dir_.Join("history") + "' }");
    mapping_ = dir_.Write("mapping", R"(
      format: CSV
      event_time { value { text: "{time}" } format: "unix_s" }
      type_rules { type: PURCHASE }
      user_id { text: "{user}" }
      item_id { text: "{item}" })");
    file_ = dir_.Write("events.csv", "time,user,item\n1300000000,u,i\nnever,u,i\n1300000001,v,j\n");
  }
  int Run(const std::string& arguments) {
    const std::string command =
        std::string(TRIBUTARY_BATCH) + " " + arguments + " > " + dir_.Join("out") + " 2> " + dir_.Join("err");
    const int status = std::system(command.c_str());
    out_ = ReadText(dir_.Join("out"));
    err_ = ReadText(dir_.Join("err"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string Config() const { return "--config " + config_ + " "; }

  const TempDir dir_;
  std::string config_, mapping_, file_, out_, err_;
};

TEST_F(CliTest, ImportThenRunWithoutKafkaMakesACurrentSnapshot) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("2 events, 0 items, 1 rows rejected"));
  EXPECT_THAT(ReadText(file_ + ".rejected.jsonl"), HasSubstr("never"));
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0);
  EXPECT_THAT(out_, HasSubstr("nothing done"));
  ASSERT_EQ(Run(Config() + "run --no-kafka --threads 2"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("2 events of 2 users and 2 items"));
  EXPECT_THAT(ReadText(dir_.Join("snapshots/CURRENT")), HasSubstr("1"));
  ASSERT_EQ(Run("run --no-kafka --no-activate " + Config() + "--set 'batch { seed: 7 }'"), 0) << err_;
  EXPECT_TRUE(std::filesystem::exists(dir_.Join("snapshots/2/MANIFEST.json")));
  EXPECT_THAT(ReadText(dir_.Join("snapshots/CURRENT")), HasSubstr("1"));
}

TEST_F(CliTest, MistakesExitWith2AndNameWhatIsWrong) {
  EXPECT_EQ(Run(""), 2);
  EXPECT_EQ(Run("frobnicate"), 2);
  EXPECT_EQ(Run("--config /nonexistent run"), 2);
  EXPECT_THAT(err_, HasSubstr("/nonexistent"));
  EXPECT_EQ(Run(Config() + "--set 'batch { colour: 1 }' run --no-kafka"), 2);
  EXPECT_THAT(err_, HasSubstr("colour"));
  EXPECT_EQ(Run(Config() + "import /nonexistent --mapping " + mapping_), 2);
  EXPECT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_ + " --until soon"), 2);
  EXPECT_THAT(err_, HasSubstr("--until"));
}

TEST_F(CliTest, ASecondProcessExitsWith3) {
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  const int lock = ::open(dir_.Join("history/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(Run(Config() + "run --no-kafka"), 3);
  EXPECT_THAT(err_, HasSubstr("LOCK"));
  ::close(lock);
}

TEST_F(CliTest, ASecondRunOverTheSameSnapshotsExitsWith3WhateverItsHistory) {
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  const int lock = ::open(dir_.Join("snapshots/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(Run(Config() + "run --no-kafka --set 'storage { history_dir: \"" + dir_.Join("other") + "\" }'"), 3);
  EXPECT_THAT(err_, HasSubstr("snapshots/LOCK"));
  ::close(lock);
  EXPECT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
}

TEST_F(CliTest, AnUnreachableBrokerExitsWith4) {
  EXPECT_EQ(Run(Config() + "--set 'kafka { brokers: \"127.0.0.1:1\" }' run"), 4);
  EXPECT_THAT(err_, HasSubstr("127.0.0.1:1"));
  EXPECT_FALSE(std::filesystem::exists(dir_.Join("snapshots/CURRENT")));
}

TEST_F(CliTest, ADamagedHistoryExitsWith5) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  std::filesystem::resize_file(dir_.Join("history/events/import-0-0.parquet"), 5);
  EXPECT_EQ(Run(Config() + "run --no-kafka"), 5);
  EXPECT_THAT(err_, HasSubstr("import-0-0.parquet"));
}

TEST_F(CliTest, ARefusedSnapshotExitsWith8AndSaysWhichLimit) {
  const std::string command = "run --no-kafka --set 'batch { gate { compare_from_users: 1 } }'";
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  ASSERT_EQ(Run(Config() + command), 0) << err_;
  std::string rows = "time,user,item\n";
  for (int i = 0; i < 20; ++i) {
    rows += "13000000" + std::to_string(10 + i) + ",u,i\n";
  }
  dir_.Write("more.csv", rows);
  ASSERT_EQ(Run(Config() + "import " + dir_.Join("more.csv") + " --mapping " + mapping_), 0) << err_;
  EXPECT_EQ(Run(Config() + command), 8);
  EXPECT_THAT(err_, HasSubstr("generation 2 refused by the gate"));
  EXPECT_THAT(err_, HasSubstr("events 22, at least 1.6, at most 10 (active 2)"));
  EXPECT_THAT(ReadText(dir_.Join("snapshots/CURRENT")), HasSubstr("1"));
  EXPECT_EQ(Run(Config() + command + " --force"), 0) << err_;
  EXPECT_THAT(ReadText(dir_.Join("snapshots/CURRENT")), HasSubstr("3"));
}

}  // namespace
}  // namespace tributary::batch
