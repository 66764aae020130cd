#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
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

TEST_F(CliTest, HistoryCompactMergesSmallFiles) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  dir_.Write("more.csv", "time,user,item\n1300000002,u,i\n");
  ASSERT_EQ(Run(Config() + "import " + dir_.Join("more.csv") + " --mapping " + mapping_), 0) << err_;
  ASSERT_EQ(Run(Config() + "history compact --set 'batch { history { compact_files: 2 } }'"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("2 files merged into 1"));
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("3 events of 2 users"));
  EXPECT_EQ(Run(Config() + "history"), 2);
}

TEST_F(CliTest, HistoryForgottenSaysWhatStillHoldsAUserUntilWhen) {
  const std::string forgets = dir_.Write("forgets.csv", "time,user\n1300000005,u\n");
  const std::string mapping = dir_.Write("forgets.mapping", R"(
      format: CSV
      event_time { value { text: "{time}" } format: "unix_s" }
      type_rules { type: FORGET }
      user_id { text: "{user}" })");
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  ASSERT_EQ(Run(Config() + "history forgotten"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("no FORGET"));
  ASSERT_EQ(Run(Config() + "import " + forgets + " --mapping " + mapping), 0) << err_;
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("1 users newly forgotten, 2 events without them now, 0 wait"));
  ASSERT_EQ(Run(Config() + "history forgotten u"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("forgotten until 2011-03-13T07:06:45+00:00 by the event at -1:"));
  EXPECT_THAT(out_, HasSubstr("in snapshot 1 until 2 more snapshots pass the gate\n"));
  EXPECT_THAT(out_, testing::Not(HasSubstr("snapshot 2")));
  ASSERT_EQ(Run(Config() + "history forgotten v"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("no FORGET"));
  ASSERT_EQ(Run(Config() + "history forgotten --json"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("\"generation\": \"1\""));
  EXPECT_THAT(out_, testing::Not(HasSubstr("\"u\"")));
  // What was imported before under another name, with more in it: older events come in without the person.
  dir_.Write("more.csv", "time,user,item\n1300000000,u,i\n1300000009,u,i\n");
  ASSERT_EQ(Run(Config() + "import " + dir_.Join("more.csv") + " --mapping " + mapping_), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("1 events of users who were forgotten since"));
}

TEST_F(CliTest, ARunThatDoesNotFitIntoItsMemoryExitsWith6AndSaysWhatItNeeds) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  EXPECT_EQ(Run(Config() + "run --no-kafka --memory-budget 64MiB"), 6);
  EXPECT_THAT(err_, HasSubstr("memory_budget_gib=0.06"));
  EXPECT_EQ(Run(Config() + "run --no-kafka --memory-budget 2GiB"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("GiB for 2 events"));
  EXPECT_EQ(Run(Config() + "run --no-kafka --memory-budget much"), 2);
}

TEST_F(CliTest, ExportWritesListsAndNeighboursOfTheCurrentGenerationOrAnother) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  EXPECT_EQ(Run(Config() + "export --out " + dir_.Join("exported")), 2) << "no snapshot yet";
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  ASSERT_EQ(Run(Config() + "export --out " + dir_.Join("exported")), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("generation 1: lists of 2 users"));
  EXPECT_THAT(ReadText(dir_.Join("exported/user_lists.parquet")), testing::StartsWith("PAR1"));
  EXPECT_TRUE(std::filesystem::exists(dir_.Join("exported/item_neighbours.parquet")));
  EXPECT_EQ(Run(Config() + "export --generation 7 --out " + dir_.Join("exported")), 2);
  EXPECT_EQ(Run(Config() + "export"), 2);
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

TEST_F(CliTest, AScheduleWithoutAPossibleTimeExitsWith2) {
  EXPECT_EQ(Run(Config() + "schedule --no-kafka"), 2);
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --every 1h --daily-at 02:00"), 2);
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --every soon"), 2);
  EXPECT_THAT(err_, HasSubstr("--every value=soon"));
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --daily-at 25:00"), 2);
  EXPECT_THAT(err_, HasSubstr("--daily-at value=25:00"));
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --daily-at 02:00 --time-zone Europe/Atlantis"), 2);
  EXPECT_THAT(err_, HasSubstr("Europe/Atlantis"));
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --every 1h --time-zone UTC"), 2);
}

// `tributary-batch schedule` as an operator sees it: a process that makes runs, each a process of its own.
class ScheduleTest : public CliTest {
 protected:
  ~ScheduleTest() override {
    if (scheduler_ > 0) {
      ::kill(scheduler_, SIGKILL);
      ::waitpid(scheduler_, nullptr, 0);
    }
  }
  void Start(const std::string& when) {
    scheduler_ = ::fork();
    ASSERT_GE(scheduler_, 0);
    if (scheduler_ == 0) {
      const int log = ::open(dir_.Join("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      ::dup2(log, 1);
      ::dup2(log, 2);
      ::execl(TRIBUTARY_BATCH, TRIBUTARY_BATCH, "--config", config_.c_str(), "schedule", "--no-kafka", when.c_str(),
              nullptr);
      ::_exit(127);
    }
  }
  // Waits for it, for a minute at most.
  static bool Soon(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return true;
      ::poll(nullptr, 0, 10);
    }
    return false;
  }
  bool WaitFor(const std::string& text) {
    return Soon([&] { return ReadText(dir_.Join("log")).find(text) != std::string::npos; });
  }
  int Stop() {
    int status = 0;
    EXPECT_EQ(::kill(scheduler_, SIGTERM), 0);
    EXPECT_EQ(::waitpid(scheduler_, &status, 0), scheduler_);
    scheduler_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string State() const { return ReadText(dir_.Join("history/schedule/SCHEDULE.json")); }

  pid_t scheduler_ = -1;
};

TEST_F(ScheduleTest, MakesRunsUntilItIsStopped) {
  ASSERT_EQ(Run(Config() + "import " + file_ + " --mapping " + mapping_), 0) << err_;
  Start("--every=1s");
  ASSERT_TRUE(WaitFor("generation 2 is current")) << ReadText(dir_.Join("log"));
  EXPECT_EQ(Run(Config() + "schedule --no-kafka --every 1h"), 3);  // One scheduler over a history.
  EXPECT_THAT(err_, HasSubstr("schedule/LOCK"));
  const int code = Stop();
  EXPECT_TRUE(code == 0 || code == 7) << code;
  EXPECT_THAT(ReadText(dir_.Join("log")), HasSubstr("run ended: exit_code=0"));
  EXPECT_THAT(State(), HasSubstr("\"exitCode\": " + std::to_string(code)));
}

// Somebody else holds the snapshots: the run says so, and the scheduler goes on.
TEST_F(ScheduleTest, AFailedRunEndsNothing) {
  ASSERT_EQ(Run(Config() + "run --no-kafka"), 0) << err_;
  const int lock = ::open(dir_.Join("snapshots/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  Start("--every=1s");
  ASSERT_TRUE(WaitFor("run ended: exit_code=3")) << ReadText(dir_.Join("log"));
  ::close(lock);
  ASSERT_TRUE(WaitFor("run ended: exit_code=0")) << ReadText(dir_.Join("log"));
  EXPECT_EQ(Stop() % 7, 0);
}

// Its run goes with it, and the next scheduler takes the work up at once, far from its time. A run reads its
// configuration anew: here from a pipe that nobody writes to a second time, so that it is surely at work.
TEST_F(ScheduleTest, AKilledSchedulerTakesItsRunAlongAndTheNextOneTakesItUp) {
  const std::string text = ReadText(config_);
  std::filesystem::remove(config_);
  ASSERT_EQ(::mkfifo(config_.c_str(), 0600), 0);
  Start("--every=24h");
  std::ofstream(config_) << text;
  ASSERT_TRUE(WaitFor("run begins: reason=first")) << ReadText(dir_.Join("log"));
  const std::string id = std::to_string(scheduler_);
  std::string run;
  ASSERT_TRUE(Soon([&] {
    run = ReadText("/proc/" + id + "/task/" + id + "/children");
    return !run.empty();
  }));
  run.erase(run.find(' '));
  ASSERT_EQ(::kill(scheduler_, SIGKILL), 0);
  ASSERT_EQ(::waitpid(scheduler_, nullptr, 0), scheduler_);
  scheduler_ = -1;
  EXPECT_TRUE(Soon([&] {
    const std::string status = ReadText("/proc/" + run + "/status");
    return status.empty() || status.find("State:\tZ") != std::string::npos;
  })) << run;
  EXPECT_THAT(State(), testing::Not(HasSubstr("exitCode")));

  std::filesystem::remove(config_);
  dir_.Write("config", text);
  Start("--every=24h");
  ASSERT_TRUE(WaitFor("run begins: reason=resumed")) << ReadText(dir_.Join("log"));
  ASSERT_TRUE(WaitFor("run ended: exit_code=0")) << ReadText(dir_.Join("log"));
  EXPECT_EQ(Stop(), 0);
}

}  // namespace
}  // namespace tributary::batch
