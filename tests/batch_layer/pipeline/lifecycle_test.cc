#include "batch_layer/pipeline/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/snapshot/canary.h"
#include "common/snapshot/gate_verdict.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class LifecycleTest : public testing::Test {
 protected:
  LifecycleTest() { EXPECT_TRUE(log_.CreateTopics({{.name = "snapshots", .compacted = true}}).ok()); }

  SnapshotLifecycle Make(int retained, EventLog* log) {
    return SnapshotLifecycle(store_, log, clock_,
                             {.topic = "snapshots",
                              .retained = {.good = retained, .refused = 1},
                              .kept = kept_,
                              .retire_grace = absl::Seconds(60),
                              .sleep =
                                  [this](absl::Duration grace) {
                                    slept_.push_back(grace);
                                    on_sleep_();
                                  },
                              .read = {Isolation::kCommitted, absl::ZeroDuration(), 3, [this] { return stopped_; }}});
  }
  void WriteSnapshot(int64_t generation) {
    auto writer = SnapshotWriter::Create(store_.dir(), Generation{generation});
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->WriteItems({}).ok());
    ASSERT_TRUE((*writer)->WriteNeighbours({}).ok());
    v1::SnapshotManifest manifest;
    manifest.set_segment_size(1024);
    auto* watermark = manifest.add_watermarks();
    watermark->set_watermark(generation * 10);
    const auto finished = (*writer)->Finish(manifest);
    ASSERT_TRUE(finished.ok()) << finished.status();
  }
  void Judge(int64_t generation, v1::GateVerdict::Outcome outcome, int64_t active = 0) {
    v1::GateVerdict verdict;
    verdict.set_generation(generation);
    verdict.set_active_generation(active);
    verdict.set_outcome(outcome);
    ASSERT_TRUE(WriteGateVerdict(store_.dir(), verdict).ok());
  }
  std::map<int64_t, std::string> Announced() {
    std::map<int64_t, std::string> statuses;
    for (const LogRecord& record : log_.Records({"snapshots", PartitionId{0}}, Isolation::kCommitted)) {
      v1::SnapshotAnnouncement announcement;
      EXPECT_TRUE(announcement.ParseFromString(*record.value));
      EXPECT_EQ(record.key, absl::StrCat(announcement.generation()));
      EXPECT_EQ(announcement.watermarks(0).watermark(), announcement.generation() * 10);
      statuses[announcement.generation()] = v1::SnapshotStatus_Name(announcement.status());
    }
    return statuses;
  }
  std::vector<int64_t> Stored() {
    std::vector<int64_t> generations;
    const auto manifests = store_.List();
    EXPECT_TRUE(manifests.ok());
    for (const v1::SnapshotManifest& manifest : *manifests) {
      generations.push_back(manifest.generation());
    }
    return generations;
  }

  FakeClock clock_;
  FakeEventLog log_{clock_};
  const TempDir dir_;
  SnapshotStore store_{dir_.Join("snapshots")};
  std::set<Generation> kept_;
  std::vector<absl::Duration> slept_;
  std::function<void()> on_sleep_ = [] {};
  bool stopped_ = false;
};

TEST_F(LifecycleTest, TheFirstGenerationIsOneAndLaterOnesGrowPastDirectoryAndTopic) {
  EXPECT_EQ(*Make(2, &log_).NextGeneration(), Generation{1});
  WriteSnapshot(4);
  EXPECT_EQ(*Make(2, &log_).NextGeneration(), Generation{5});
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  std::filesystem::remove_all(store_.dir());
  EXPECT_EQ(*Make(2, &log_).NextGeneration(), Generation{5});
  EXPECT_EQ(*Make(2, nullptr).NextGeneration(), Generation{1});
}

// Its files are damaged, so the store lists it no more, and nothing announced it.
TEST_F(LifecycleTest, ADamagedGenerationsNumberIsNotGivenAgain) {
  WriteSnapshot(1);
  WriteSnapshot(2);
  std::filesystem::remove(dir_.Join("snapshots/2/items.bin"));
  EXPECT_EQ(*Make(2, nullptr).NextGeneration(), Generation{3});
}

TEST_F(LifecycleTest, AnnouncesWhatIsThereOnce) {
  WriteSnapshot(1);
  WriteSnapshot(2);
  ASSERT_TRUE(store_.Activate(Generation{2}).ok());
  ASSERT_TRUE(Make(3, &log_).Settle().ok());
  EXPECT_THAT(Announced(), ElementsAre(Pair(1, "RETAINED"), Pair(2, "ACTIVATED")));
  ASSERT_TRUE(Make(3, &log_).Settle().ok());
  EXPECT_EQ(log_.Records({"snapshots", PartitionId{0}}, Isolation::kCommitted).size(), 2u);
}

TEST_F(LifecycleTest, OldGenerationsAreAnnouncedRetiredThenDeletedAfterTheGrace) {
  for (int64_t g = 1; g <= 4; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{4}).ok());
  on_sleep_ = [this] {
    EXPECT_EQ(Announced()[1], "RETIRED");
    EXPECT_THAT(Stored(), ElementsAre(1, 2, 3, 4));
  };
  const auto removed = Make(2, &log_).Settle();
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_THAT(*removed, ElementsAre(Generation{1}, Generation{2}));
  EXPECT_THAT(slept_, ElementsAre(absl::Seconds(60)));
  EXPECT_THAT(Stored(), ElementsAre(3, 4));
  EXPECT_THAT(Announced(), ElementsAre(Pair(1, "RETIRED"), Pair(2, "RETIRED"), Pair(3, "RETAINED"), Pair(4, "ACTIVATED")));
}

TEST_F(LifecycleTest, TheCurrentGenerationIsNeverRetired) {
  for (int64_t g = 1; g <= 4; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());
  const auto removed = Make(2, &log_).Settle();
  ASSERT_TRUE(removed.ok());
  EXPECT_THAT(Stored(), ElementsAre(1, 3, 4));
  EXPECT_EQ(Announced()[1], "ACTIVATED");
}

TEST_F(LifecycleTest, AGenerationActivatedDuringTheGraceStaysAndIsAnnouncedByTheNextRun) {
  for (int64_t g = 1; g <= 3; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{3}).ok());
  on_sleep_ = [this] { ASSERT_TRUE(store_.Activate(Generation{1}).ok()); };
  const auto removed = Make(2, &log_).Settle();
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_THAT(*removed, IsEmpty());
  on_sleep_ = [] {};
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  EXPECT_EQ(Announced()[1], "ACTIVATED");
}

// A weekend of refused generations: what can be rolled back to is still there on Monday.
TEST_F(LifecycleTest, ACanarysGenerationAndWhatIsKeptAreNotRetired) {
  for (const int64_t generation : {1, 2, 3, 4, 5}) {
    WriteSnapshot(generation);
  }
  ASSERT_TRUE(store_.Activate(Generation{5}).ok());
  v1::Canary canary;
  canary.set_generation(2);
  ASSERT_TRUE(StartCanary(store_, canary).ok());
  kept_ = {Generation{3}};
  ASSERT_TRUE(Make(1, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(2, 3, 5));
  ASSERT_TRUE(StopCanary(store_).ok());
  ASSERT_TRUE(Make(1, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(3, 5));
}

TEST_F(LifecycleTest, RefusedGenerationsDoNotPushGoodOnesOut) {
  for (int64_t g = 1; g <= 3; ++g) {
    WriteSnapshot(g);
    Judge(g, v1::GateVerdict::PASSED, g - 1);
  }
  ASSERT_TRUE(store_.Activate(Generation{3}).ok());
  for (int64_t g = 4; g <= 9; ++g) {
    WriteSnapshot(g);
    Judge(g, v1::GateVerdict::REFUSED, 3);
    ASSERT_TRUE(Make(3, &log_).Settle().ok());
    EXPECT_THAT(Stored(), ElementsAre(1, 2, 3, g));
  }
  EXPECT_EQ(RollbackTarget(store_.dir(), *store_.List(), Generation{3}), Generation{2});
}

// Somebody rolled back to 1, and the next generation was judged beside it: replicas serve 1 until they have loaded 5.
TEST_F(LifecycleTest, WhatWasCurrentBeforeStaysWhileReplicasLoadTheNewOne) {
  for (int64_t g = 1; g <= 5; ++g) {
    WriteSnapshot(g);
  }
  Judge(5, v1::GateVerdict::PASSED, /*active=*/1);
  ASSERT_TRUE(store_.Activate(Generation{5}).ok());
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(1, 4, 5));
  WriteSnapshot(6);
  Judge(6, v1::GateVerdict::PASSED, /*active=*/5);
  ASSERT_TRUE(store_.Activate(Generation{6}).ok());
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(5, 6));
}

TEST_F(LifecycleTest, AStopDuringTheGraceDeletesNothingAndTheNextRunDoes) {
  for (int64_t g = 1; g <= 3; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{3}).ok());
  on_sleep_ = [this] { stopped_ = true; };
  EXPECT_TRUE(absl::IsCancelled(Make(2, &log_).Settle().status()));
  EXPECT_THAT(Stored(), ElementsAre(1, 2, 3));
  stopped_ = false;
  on_sleep_ = [] {};
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(2, 3));
}

// A run died between announcing and deleting: the next one does not bring the generation back.
TEST_F(LifecycleTest, WhatWasAnnouncedRetiredIsDeletedByTheNextRun) {
  for (int64_t g = 1; g <= 3; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{3}).ok());
  on_sleep_ = [this] { log_.SetBrokerAway(true); };
  ASSERT_TRUE(Make(2, &log_).Settle().ok());
  log_.SetBrokerAway(false);
  WriteSnapshot(1);      // As if it had not been deleted.
  ASSERT_TRUE(Make(3, &log_).Settle().ok());
  EXPECT_THAT(Stored(), ElementsAre(2, 3));
}

TEST_F(LifecycleTest, AGenerationWithoutFilesIsAnnouncedRetired) {
  WriteSnapshot(1);
  WriteSnapshot(2);
  ASSERT_TRUE(store_.Activate(Generation{2}).ok());
  ASSERT_TRUE(Make(3, &log_).Settle().ok());
  std::filesystem::remove_all(dir_.Join("snapshots/1"));
  ASSERT_TRUE(Make(3, &log_).Settle().ok());
  EXPECT_THAT(Announced(), ElementsAre(Pair(1, "RETIRED"), Pair(2, "ACTIVATED")));
}

TEST_F(LifecycleTest, WithoutKafkaOldOnesGoAtOnce) {
  for (int64_t g = 1; g <= 3; ++g) {
    WriteSnapshot(g);
  }
  ASSERT_TRUE(store_.Activate(Generation{3}).ok());
  ASSERT_TRUE(Make(2, nullptr).Settle().ok());
  EXPECT_THAT(slept_, IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(2, 3));
}

}  // namespace
}  // namespace tributary::batch
