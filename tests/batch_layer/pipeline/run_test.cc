// The course of a run: what it does with little, much and nothing, where it stops, and what it leaves then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "batch_layer/gate/gate.h"
#include "batch_layer/pipeline/dataset.h"
#include "common/snapshot/gate_verdict.h"
#include "tests/batch_layer/pipeline/run_fixture.h"

namespace tributary::batch {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

TEST_F(RunTest, AnEmptyHistoryGivesAValidSnapshotThatIsActivated) {
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->activated);
  EXPECT_EQ(report->manifest.generation(), 1);
  EXPECT_EQ(report->manifest.events(), 0);
  EXPECT_EQ(Open(*report)->item_count(), 0u);
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

TEST_F(RunTest, OneEventGivesAValidSnapshot) {
  Did("u", v1::PURCHASE, "i");
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u", &user).ok());
  EXPECT_EQ(user.profile().items_size(), 1);
  EXPECT_THAT(Names(*reader, user.list()), ElementsAre("i"));
  EXPECT_EQ(reader->Watermark(PartitionId{0}), Offset{1});
  EXPECT_EQ(reader->Watermark(PartitionId{1}), Offset{0});
}

TEST_F(RunTest, ManyEventsOfOneUser) {
  for (int i = 0; i < 2000; ++i) {
    Did("u", v1::VIEW, absl::StrCat("i", i));
  }
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u", &user).ok());
  EXPECT_EQ(user.profile().items_size(), 2000);
  EXPECT_EQ(user.list().items_size(), 5);
  EXPECT_EQ(report->manifest.users(), 1);
}

TEST_F(RunTest, AUserWithAMillionEventsIsOneUserAmongOthersInMemoryAndThroughTheDisk) {
  SomeShopping();
  auto import = history_->BeginImport(1, "file");
  ASSERT_TRUE(import.ok());
  HistoryEvent row;
  row.event.type = v1::VIEW;
  row.event.user_id = "robot";
  for (int64_t line = 0; line < 1'000'000; ++line) {
    row.position = {kImportPartition, Offset{line}};
    row.event.event_time_unix_ms = 1'600'000'000'000 + line * 1000;
    row.event.item_id = absl::StrCat("i", line % 300);
    ASSERT_TRUE((*import)->Append({&row, 1}).ok());
  }
  ASSERT_TRUE((*import)->Commit(0, {}).ok());
  import->reset();
  std::string digest;
  for (const size_t events : {0, 50'000}) {
    options_.events_in_memory = events;
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->manifest.users(), 21);
    EXPECT_EQ(report->manifest.sessions(), 21) << "a view a second is one session";
    v1::SnapshotUser user;
    ASSERT_TRUE(Open(*report)->FindUser("robot", &user).ok());
    EXPECT_EQ(user.profile().items_size(), 300);
    EXPECT_EQ(user.list().items_size(), 5);
    ASSERT_TRUE(Open(*report)->FindUser("u1", &user).ok());
    EXPECT_EQ(user.list().items_size(), 5);
    EXPECT_TRUE(digest.empty() || report->manifest.content_digest() == digest);
    digest = report->manifest.content_digest();
  }
}

TEST_F(RunTest, ARunMergesSmallFilesAndTheDigestStaysWhatItWas) {
  config_.mutable_batch()->mutable_history()->set_compact_files(2);
  std::vector<std::string> steps;
  options_.on_step = [&steps](absl::string_view step, absl::Duration, absl::string_view) { steps.emplace_back(step); };
  SomeShopping();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(steps, Not(Contains("compaction"))) << "one file a partition";
  SomeShopping();
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(steps.back(), "compaction");
  EXPECT_EQ(history_->manifest().segments_size(), 2);
  steps.clear();
  const auto third = Run();
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_THAT(steps, Not(Contains("compaction")));
  EXPECT_EQ(third->manifest.content_digest(), second->manifest.content_digest());
  EXPECT_EQ(third->manifest.config_digest(), second->manifest.config_digest());
}

// Found by the simulation (seed 1882724249): a transaction that stays open for a week keeps records from the history whose own
// time follows its end at once, and what they repeat must still be known then.
TEST_F(RunTest, WhoIsForgottenKeepsTheirIdsWhileRecordsWaitBehindAnOpenTransaction) {
  Did("u", v1::FORGET, "");
  v1::Event view;
  view.set_user_id("u");
  view.set_type(v1::VIEW);
  view.set_item_id("i");
  view.set_event_id("once");
  view.mutable_event_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()) - 60);
  Produce("events", "u", view.SerializeAsString());
  auto hanging = log_.OpenTransactionalProducer("hanging");
  ASSERT_TRUE(hanging.ok());
  ASSERT_TRUE((*hanging)->Begin().ok());
  ASSERT_TRUE((*hanging)->Produce({.topic = "events", .partition = PartitionId{0}, .key = "u",
                                   .value = view.SerializeAsString()}).ok());
  clock_.Advance(absl::Hours(24 * 8));
  const auto behind = Run();
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_EQ(behind->manifest.events(), 2);
  ASSERT_TRUE((*hanging)->Commit({}, {}).ok());
  const auto after = Run();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->partitions[0].duplicates, 1);
  EXPECT_EQ(after->manifest.events(), 2);
}

TEST_F(RunTest, FilesAreMergedSoThatRetentionStillFindsWhatIsOld) {
  config_.mutable_batch()->mutable_history()->set_compact_files(2);
  config_.mutable_batch()->mutable_history()->set_retention_days(16);
  config_.mutable_batch()->mutable_gate()->set_max_shrink(1);
  for (int day = 0; day < 60; ++day) {
    for (int i = 0; i < 4; ++i) {
      Did("u0", v1::PURCHASE, absl::StrCat("i", i));
    }
    clock_.Advance(absl::Hours(24));
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_GE(report->manifest.events(), 4 * std::min(day + 1, 16));
    EXPECT_LE(report->manifest.events(), 4 * (16 + 2 + 1)) << "an eighth and one run's longer";
  }
  EXPECT_LE(history_->manifest().segments_size(), 12) << "days in twos";
}

// Serving adds live counts from the start of the segment that W cuts, and takes off what the snapshot has counted of it.
TEST_F(RunTest, RetentionTakesWhatItRemovesOffTheTotalsAndNothingOffTheSegmentThatWCuts) {
  config_.mutable_batch()->mutable_history()->set_compact_files(100);
  SomeShopping();
  Did("u1", v1::PURCHASE, "i1", 1);      // The last of partition 1, and the first of a segment of 4.
  for (int day = 0; day < 40; ++day) {
    for (int i = 0; i < 10; ++i) {
      Did("u0", v1::PURCHASE, absl::StrCat("i", i));
    }
    clock_.Advance(absl::Hours(24));
    if (day % 5 == 4) {
      ASSERT_TRUE(Run().ok());
    }
  }
  const auto read = [this] {
    auto dataset = ReadDataset(*history_, RunCatalogue(), 4, {});
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return *std::move(dataset);
  };
  const Dataset before = read();
  std::vector<std::string> steps;
  options_.on_step = [&steps](absl::string_view step, absl::Duration, absl::string_view result) {
    steps.push_back(absl::StrCat(step, ": ", result));
  };
  config_.mutable_batch()->mutable_history()->set_retention_days(12);
  config_.mutable_batch()->mutable_gate()->set_max_shrink(1);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->activated) << Describe(report->verdict);
  EXPECT_THAT(steps, Contains(testing::StartsWith("retention: 5 files with 290 events removed")));
  const Dataset after = read();
  const CountKey purchases{v1::OVERALL, "", v1::PURCHASE};
  EXPECT_EQ(before.totals.at(purchases).events, 481);
  EXPECT_EQ(after.totals.at(purchases).events, 191);
  EXPECT_EQ(report->manifest.events(), 191);
  EXPECT_EQ(Open(*report)->Watermark(PartitionId{0}), Offset{440});
  EXPECT_EQ(Open(*report)->Watermark(PartitionId{1}), Offset{41});
  ASSERT_EQ(after.cut_counts.size(), before.cut_counts.size());
  for (const auto& [partition, counts] : before.cut_counts) {
    v1::LiveCounts was, is;
    counts.ToProto(&was);
    after.cut_counts.at(partition).ToProto(&is);
    EXPECT_EQ(is.SerializeAsString(), was.SerializeAsString());
  }
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(read().accepted_events, 191) << "and no more goes until days pass";
}

TEST_F(RunTest, EventsThatGoThroughTheDiskGiveTheSameDigest) {
  SomeShopping();
  Did("late in the alphabet", v1::PURCHASE, "i1", 1);
  Did("nobody", v1::PURCHASE, "i0", 0, /*anonymous=*/true);
  Did("u3", v1::FORGET, "", 1);
  const auto in_memory = Run();
  ASSERT_TRUE(in_memory.ok()) << in_memory.status();
  for (const size_t events : {1, 9, 82}) {
    options_.events_in_memory = events;
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->manifest.content_digest(), in_memory->manifest.content_digest()) << events;
    EXPECT_EQ(report->manifest.sessions(), in_memory->manifest.sessions());
    EXPECT_FALSE(std::filesystem::exists(dir_.Join("snapshots/events.partial")));
  }
}

TEST_F(RunTest, ARunThatDoesNotFitRefusesToStartAndSaysWhatItNeeds) {
  SomeShopping();
  Did("u0", v1::PURCHASE, "i0");
  config_.mutable_batch()->set_memory_budget_bytes(100 << 20);
  const absl::Status status = Run().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("memory_budget_gib=0.10"));
  EXPECT_FALSE(SnapshotStore(dir_.Join("snapshots")).Current().ok());
  std::string need;
  options_.on_step = [&need](absl::string_view step, absl::Duration, absl::string_view result) {
    if (step == "memory") need = std::string(result);
  };
  config_.mutable_batch()->set_memory_budget_bytes(int64_t{1} << 30);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(need, testing::HasSubstr("GiB for 81 events"));
  config_.mutable_batch()->set_memory_budget_bytes(100 << 20);
  EXPECT_THAT(std::string(Run().status().message()), testing::HasSubstr("events=81 users=20 items=12 observations=80"))
      << "as the last snapshot counted them";
}

TEST_F(RunTest, WithoutActivationTheCurrentSnapshotStays) {
  ASSERT_TRUE(Run().ok());
  options_.activate = false;
  const auto report = Run();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->manifest.generation(), 2);
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

// Everybody's lists hang on a few events; then ten times as many come.
TEST_F(RunTest, WhatTheGateRefusesIsKeptAndNotActivatedUnlessForced) {
  config_.mutable_batch()->mutable_gate()->set_compare_from_users(1);
  Did("u", v1::PURCHASE, "i");
  ASSERT_TRUE(Run()->activated);
  SomeShopping();
  const auto refused = Run();
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->verdict.outcome(), v1::GateVerdict::REFUSED);
  EXPECT_FALSE(refused->activated);
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_EQ(store.List()->size(), 2u);
  EXPECT_TRUE(WasRefused(store.dir(), Generation{2}));
  options_.force = true;
  const auto forced = Run();
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_EQ(*store.Current(), Generation{3});
  const auto verdict = ReadGateVerdict(store.dir(), Generation{3});
  ASSERT_TRUE(verdict.ok()) << verdict.status();
  EXPECT_EQ(verdict->outcome(), v1::GateVerdict::FORCED);
  EXPECT_EQ(verdict->active_generation(), 1);
  EXPECT_EQ(verdict->judged().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(forced->manifest.content_digest(), refused->manifest.content_digest());
}

// A disk that loses what was written: not even --force activates that.
TEST_F(RunTest, ASnapshotThatCannotBeReadBackIsNeverActivated) {
  SomeShopping();
  ASSERT_TRUE(Run().ok());
  options_.force = true;
  options_.on_step = [this](absl::string_view step, absl::Duration, absl::string_view) {
    if (step == "snapshot") {
      std::fstream file(dir_.Join("snapshots/2/items.bin"), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-1, std::ios::end);
      file.put('\x7f');
    }
  };
  const absl::Status status = Run().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("items.bin"));
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_TRUE(WasRefused(store.dir(), Generation{2}));
}

// Killed between the snapshot and its verdict, twice: once with a good one, once with one that the gate refuses.
TEST_F(RunTest, WhatAKilledRunDidNotJudgeIsJudgedByTheNext) {
  config_.mutable_batch()->mutable_gate()->set_compare_from_users(1);
  SomeShopping();
  ASSERT_TRUE(Run()->activated);
  options_.activate = false;
  ASSERT_TRUE(Run().ok());
  for (int i = 0; i < 500; ++i) {
    Did("u", v1::VIEW, absl::StrCat("new-", i));
  }
  ASSERT_EQ(Run()->verdict.outcome(), v1::GateVerdict::REFUSED);
  for (const char* generation : {"2", "3"}) {
    ASSERT_TRUE(std::filesystem::remove(dir_.Join(absl::StrCat("snapshots/", generation, "/GATE.json"))));
  }
  std::filesystem::create_directories(dir_.Join("snapshots/4.partial/db"));
  options_.activate = true;
  options_.force = true;
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.generation(), 4);
  const std::string store = dir_.Join("snapshots");
  EXPECT_EQ(ReadGateVerdict(store, Generation{2})->outcome(), v1::GateVerdict::PASSED);
  EXPECT_TRUE(WasRefused(store, Generation{3}));
  EXPECT_EQ(RollbackTarget(store, *SnapshotStore(store).List(), Generation{4}), Generation{2});
  EXPECT_FALSE(std::filesystem::exists(dir_.Join("snapshots/4.partial")));
}

TEST_F(RunTest, TwoRunsOverOneSnapshotsDirectoryNeverOverlap) {
  auto other = History::Open({.dir = dir_.Join("other"), .events_topic = "events", .segment_size = 4});
  ASSERT_TRUE(other.ok()) << other.status();
  RunOptions second = options_;
  int steps = 0, refused = 0;
  options_.on_step = [&](absl::string_view, absl::Duration, absl::string_view) {
    ++steps;
    refused += absl::IsAborted(RunBatch(config_, second, **other, &log_, clock_).status());
  };
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(steps, 0);
  EXPECT_EQ(refused, steps);
  EXPECT_EQ(SnapshotStore(dir_.Join("snapshots")).List()->size(), 1u);
  EXPECT_TRUE(RunBatch(config_, second, **other, &log_, clock_).ok());
}

TEST_F(RunTest, WithoutKafkaImportsAloneCountAndEveryWIsZero) {
  const auto report = Run(/*kafka=*/false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.watermarks_size(), 0);
  EXPECT_THAT(report->partitions, IsEmpty());
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

TEST_F(RunTest, AnUnreachableBrokerIsUnavailableAndChangesNothing) {
  log_.SetBrokerAway(true);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(SnapshotStore(dir_.Join("snapshots")).Current().ok());
}

TEST_F(RunTest, AStopEndsTheRunBeforeItsNextStep) {
  int steps = 0;
  options_.on_step = [&steps](absl::string_view, absl::Duration, absl::string_view) { ++steps; };
  options_.stopped = [&steps] { return steps == 2; };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(steps, 2);
}

// A limit on file sizes gives the errors that a full disk gives.
TEST_F(RunTest, AFullDiskLeavesTheCurrentSnapshotAndNothingHalfWritten) {
  ASSERT_TRUE(Run().ok());
  for (int i = 0; i < 3000; ++i) {
    Did(absl::StrCat("user-", i * 7919), v1::VIEW, absl::StrCat("item-", i * 104729));
  }
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 16 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = Run().status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(status.ok());
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_EQ(store.List()->size(), 1u);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.events(), 3000);
}

}  // namespace
}  // namespace tributary::batch
