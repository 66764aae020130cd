#include "speed_layer/speed_layer.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/counts/counts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/speed_layer/speed_harness.h"

// What an instance does when nothing goes wrong around it, and with bad input. See speed_recovery_test for the rest.
namespace tributary::speed {
namespace {

using ::testing::HasSubstr;

TEST(SpeedLayerTest, EventsBecomeCommittedViewsProgressAndCounts) {
  SpeedHarness harness;
  harness.Publish({.user = "ada", .item = "lamp"}, 0);
  harness.Publish({.user = "ada", .type = v1::DISLIKE, .item = "desk"}, 0);
  harness.Publish({.user = "bob", .item = "sofa"}, 1);
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  ASSERT_TRUE(harness.View("ada", 0));
  EXPECT_EQ(harness.View("ada", 0)->facts_size(), 2);
  EXPECT_EQ(harness.View("ada", 0)->position().applied_offset(), 2);
  EXPECT_EQ(harness.View("bob", 1)->facts(0).item_id(), "sofa");
  EXPECT_EQ(harness.Progress(0)->position().applied_offset(), 2);
  EXPECT_EQ(harness.Progress(0)->accepted(), 2);
  EXPECT_EQ(harness.Progress(0)->instance(), "one");
  EXPECT_EQ(harness.Latest("live-counts", 0).size(), 1u);
  EXPECT_EQ(harness.log.GroupOffsets("tributary-speed").at({"events", PartitionId{0}}), Offset{2});
}

TEST(SpeedLayerTest, ChangesAreVisibleUncommittedBeforeTheCheckpoint) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  harness.Publish({.user = "ada"});
  ASSERT_TRUE(harness.Round(*layer).ok());
  EXPECT_TRUE(layer->in_transaction());
  EXPECT_TRUE(harness.View("ada", 0, Isolation::kUncommitted));
  EXPECT_EQ(harness.Progress(0, Isolation::kUncommitted)->position().applied_offset(), 1);
  EXPECT_FALSE(harness.View("ada", 0));
  harness.clock.Advance(absl::Milliseconds(200));
  ASSERT_TRUE(harness.Round(*layer).ok());
  EXPECT_FALSE(layer->in_transaction());
  EXPECT_TRUE(harness.View("ada", 0));
}

TEST(SpeedLayerTest, ImpressionsAreKeptWhereMergeOrABucketKnowsFatigueAndAtARestart) {
  for (const bool everybody : {false, true}) {
    SpeedHarness harness;
    harness.Publish({.user = "ada", .type = v1::IMPRESSION});
    auto layer = harness.Start();
    harness.Settle({layer.get()});
    EXPECT_FALSE(harness.View("ada")) << "off: it leaves nothing";
    layer.reset();
    v1::MergePolicy* const merge =
        everybody ? harness.config.mutable_merge()
                  : harness.config.mutable_serving()->add_experiments()->add_buckets()->mutable_merge();
    merge->mutable_fatigue()->set_impressions(3);
    for (int restart = 1; restart < 3; ++restart) {
      harness.Publish({.user = "ada", .type = v1::IMPRESSION});
      layer = harness.Start();
      harness.Settle({layer.get()});
      ASSERT_TRUE(harness.View("ada"));
      EXPECT_EQ(harness.View("ada")->impressions_size(), restart);
      layer.reset();
    }
  }
}

TEST(SpeedLayerTest, WhoComesAloneIsWrittenAtOnceAndWhoComesRightAfterIsGathered) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  const auto seen = [&](const std::string& user) {
    return harness.View(user, 0, Isolation::kUncommitted).has_value();
  };
  harness.Publish({.user = "ada"});
  ASSERT_TRUE(layer->RunOnce().ok());
  EXPECT_TRUE(seen("ada"));
  harness.clock.Advance(absl::Microseconds(300));
  harness.Publish({.user = "bob"});
  ASSERT_TRUE(layer->RunOnce().ok());
  EXPECT_FALSE(seen("bob"));
  harness.clock.Advance(absl::Microseconds(200));
  harness.Publish({.user = "cem"});
  ASSERT_TRUE(layer->RunOnce().ok());
  EXPECT_TRUE(seen("bob"));
  EXPECT_TRUE(seen("cem"));
}

TEST(SpeedLayerTest, ABacklogIsGatheredSoThatABusyUserIsWrittenSeldom) {
  constexpr int kEvents = 2000;
  SpeedHarness harness;
  harness.max_poll_events = 10;
  for (int i = 0; i < kEvents; ++i) harness.Publish({.user = "ada", .item = absl::StrCat("item", i)});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("ada")->facts_size(), kEvents);
  EXPECT_EQ(harness.Progress()->position().applied_offset(), kEvents);
  const auto written = harness.log.Records({"speed-views", PartitionId{0}}, Isolation::kUncommitted).size();
  EXPECT_LT(written, 60u) << "of " << kEvents / 10 << " rounds";
  EXPECT_GT(written, 4u) << "what waits at most a second";
  // Without a backlog nothing waits.
  harness.Publish({.user = "bob"});
  ASSERT_TRUE(harness.Round(*layer).ok());
  EXPECT_TRUE(harness.View("bob", 0, Isolation::kUncommitted));
}

TEST(SpeedLayerTest, WhatWasGatheredIsCommittedOnlyWithItsViews) {
  SpeedHarness harness;
  harness.max_poll_events = 10;
  for (int i = 0; i < 1000; ++i) harness.Publish({.user = absl::StrCat("user", i)});
  auto layer = harness.Start();
  for (int round = 0; round < 130; ++round) {
    ASSERT_TRUE(harness.Round(*layer).ok());
    const auto progress = harness.Progress(0, Isolation::kCommitted);
    if (!progress) continue;
    const int64_t applied = progress->position().applied_offset();
    EXPECT_EQ(harness.log.GroupOffsets("tributary-speed").at({"events", PartitionId{0}}), Offset{applied});
    EXPECT_EQ(static_cast<int64_t>(harness.Latest("speed-views", 0).size()), applied + 1) << "views and the progress";
  }
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.Progress()->position().applied_offset(), 1000);
}

TEST(SpeedLayerTest, EveryFlushEndsWithTheProgressOfItsPartition) {
  SpeedHarness harness;
  auto layer = harness.Start();
  for (int i = 0; i < 50; ++i) {
    harness.Publish({.user = absl::StrCat("user", i % 7), .id = absl::StrCat("e", i % 20)}, i % 2);
    ASSERT_TRUE(harness.Round(*layer).ok());
  }
  harness.Settle({layer.get()});
  for (int partition = 0; partition < 2; ++partition) {
    int64_t applied = 0;
    std::string last_key;
    for (const LogRecord& record :
         harness.log.Records({"speed-views", PartitionId{partition}}, Isolation::kUncommitted)) {
      v1::SpeedView view;
      if (record.key == kProgressKey) {
        v1::Progress progress;
        ASSERT_TRUE(progress.ParseFromString(*record.value));
        EXPECT_GE(progress.position().applied_offset(), applied);
        applied = progress.position().applied_offset();
      } else {
        ASSERT_TRUE(view.ParseFromString(*record.value));
        EXPECT_GT(view.position().applied_offset(), applied) << "a view after the progress that covers it";
      }
      last_key = record.key;
    }
    EXPECT_EQ(last_key, kProgressKey);
    EXPECT_EQ(applied, 25);
  }
}

TEST(SpeedLayerTest, BadEventsGoToDeadLettersWithTheirReasonWhileNeighboursAreServed) {
  SpeedHarness harness;
  v1::Event negative = Message({.type = v1::PURCHASE});
  negative.set_value(-3);
  std::string not_utf8 = Bytes({.user = "ada", .item = "laXp"});
  not_utf8[not_utf8.find('X')] = '\xff';
  const std::vector<std::pair<std::string, v1::RejectCause>> bad = {
      {"no event at all", v1::MALFORMED},
      {std::string(kMaxEventBytes + 1, 'x'), v1::OVERSIZED},
      {not_utf8, v1::NOT_UTF8},
      {negative.SerializeAsString(), v1::BAD_VALUE},
      {Bytes({.time_ms = kNowMs + 2 * kDayMs}), v1::TIME_IN_FUTURE},
  };
  for (const auto& [bytes, cause] : bad) {
    harness.Publish({.user = "good"});
    harness.PublishBytes("bad", bytes);
  }
  harness.Publish({.user = "good"});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("good")->facts_size(), static_cast<int>(bad.size()) + 1);
  const auto letters = harness.DeadLetters();
  ASSERT_EQ(letters.size(), bad.size());
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(letters[i].original_value(), bad[i].first);
    EXPECT_EQ(letters[i].cause(), bad[i].second) << letters[i].reason();
    EXPECT_EQ(letters[i].source().offset(), static_cast<int64_t>(2 * i + 1));
    EXPECT_FALSE(letters[i].reason().empty());
  }
  EXPECT_EQ(harness.Progress()->dead_lettered(), static_cast<int64_t>(bad.size()));
  EXPECT_THAT(harness.registry.Text(), HasSubstr("tributary_speed_rejected_events_total{cause=\"oversized\"} 1"));
}

TEST(SpeedLayerTest, ADeadLetterThatDoesNotFitThroughTheBrokerLeavesItsBytesOut) {
  SpeedHarness harness;
  const std::string largest(kMaxLogRecordBytes - 3, 'x');
  harness.PublishBytes("bad", largest);
  harness.Publish({.user = "good"});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_TRUE(harness.View("good"));
  const auto letters = harness.DeadLetters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_TRUE(letters[0].original_value().empty());
  EXPECT_THAT(letters[0].reason(), HasSubstr(absl::StrCat("original left out: ", largest.size(), " bytes")));
}

TEST(SpeedLayerTest, LateEventsCountAndAreCopied) {
  SpeedHarness harness;
  harness.config.mutable_speed()->set_allowed_lateness_seconds(60);
  harness.Publish({.user = "ada", .time_ms = kNowMs - 61'000});
  harness.Publish({.user = "bob", .time_ms = kNowMs - 59'000});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_TRUE(harness.View("ada"));
  const auto late = harness.LateEvents();
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].event().user_id(), "ada");
  EXPECT_EQ(late[0].lateness_ms(), 61'001);  // The broker's clock has moved by 1 ms.
}

TEST(SpeedLayerTest, ARepeatIsDroppedAndItsPositionStillReported) {
  SpeedHarness harness;
  harness.Publish({.id = "e1"});
  harness.Publish({.id = "e1"});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("ada")->facts_size(), 1);
  EXPECT_EQ(harness.Progress()->duplicates(), 1);
  EXPECT_EQ(harness.Progress()->position().applied_offset(), 2);
}

TEST(SpeedLayerTest, AUserOnTwoPartitionsHasAViewOnEach) {
  SpeedHarness harness;
  harness.Publish({.item = "lamp"}, 0);
  harness.Publish({.item = "desk"}, 1);
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("ada", 0)->facts(0).item_id(), "lamp");
  EXPECT_EQ(harness.View("ada", 1)->facts(0).item_id(), "desk");
}

TEST(SpeedLayerTest, ForgetDropsWhatItHidesAtOnce) {
  SpeedHarness harness;
  harness.Publish({.item = "lamp"});
  harness.Publish({.type = v1::FORGET, .item = ""});
  harness.Publish({.item = "desk", .time_ms = kNowMs + 1});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  const v1::SpeedView view = *harness.View("ada");
  ASSERT_EQ(view.facts_size(), 2);
  EXPECT_EQ(view.facts(0).kind(), v1::FORGET);
  EXPECT_EQ(view.facts(1).item_id(), "desk");
}

TEST(SpeedLayerTest, ControlRecordsMoveThePositionToTheStableEnd) {
  SpeedHarness harness;
  harness.Publish({});
  auto producer = *harness.log.OpenTransactionalProducer("shop");
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(
      producer->Produce({.topic = "events", .partition = PartitionId{0}, .key = "ada", .value = Bytes({})}).ok());
  ASSERT_TRUE(producer->Abort().ok());
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.Progress()->accepted(), 1);
  EXPECT_EQ(harness.Progress()->position().applied_offset(), 3);  // One event, one aborted, one marker.
  v1::LiveCounts counts;
  ASSERT_TRUE(counts.ParseFromString(*harness.Latest("live-counts", 0).at("0").value));
  EXPECT_EQ(counts.position().applied_offset(), 3);
}

TEST(SpeedLayerTest, LiveCountsEqualACountByHand) {
  SpeedHarness harness(1, 4);
  std::map<std::pair<int64_t, std::string>, int64_t> wanted;  // (segment, item) -> quantity of accepted purchases.
  std::set<std::string> ids;
  auto layer = harness.Start();
  for (int i = 0; i < 50; ++i) {
    const std::string item = absl::StrCat("item", i % 3);
    const std::string id = absl::StrCat("e", i * 5 % 37);
    v1::Event event = Message({.type = v1::PURCHASE, .item = item, .id = id});
    event.set_quantity(i % 4 + 0.5);
    const int64_t offset = Value(harness.PublishBytes("ada", event.SerializeAsString()));
    if (ids.insert(id).second) wanted[{offset / 4 * 4, item}] += (i % 4) * 1'000'000 + 500'000;
    ASSERT_TRUE(harness.Round(*layer).ok());
  }
  harness.Settle({layer.get()});
  std::map<std::pair<int64_t, std::string>, int64_t> got;
  for (const auto& [key, record] : harness.Latest("live-counts", 0)) {
    v1::LiveCounts counts;
    ASSERT_TRUE(counts.ParseFromString(*record.value));
    for (const v1::CountDelta& delta : counts.deltas()) {
      if (delta.measure() == v1::BY_ITEM) got[{counts.segment_start(), delta.key()}] += delta.quantity_micros();
    }
  }
  EXPECT_EQ(got, wanted);
}

TEST(SpeedLayerTest, AnHostileSegmentStillFitsThroughTheBroker) {
  SpeedHarness harness(1, 1024);
  for (int i = 0; i < 1024; ++i) {
    v1::Event event = Message({.user = absl::StrCat("bot", i)});
    event.set_page(absl::StrCat(i, std::string(1000, 'p')));
    harness.PublishBytes("bot", event.SerializeAsString());
  }
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  v1::LiveCounts counts;
  ASSERT_TRUE(counts.ParseFromString(*harness.Latest("live-counts", 0).at("0").value));
  EXPECT_EQ(SegmentCounts::FromProto(counts)->Total({v1::OVERALL, "", v1::VIEW}).events, 1024);
}

// ---- Floor ----

TEST(SpeedLayerTest, ARisingFloorTrimsAndRepublishes) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Publish({.user = "ada", .item = "lamp"});
  harness.Publish({.user = "bob", .item = "sofa"});
  harness.Publish({.user = "ada", .item = "desk"});
  harness.Settle({layer.get()});
  harness.Announce(Announcement(1, v1::ACTIVATED, 1));
  harness.Announce(Announcement(2, v1::ACTIVATED, 3));
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("ada")->position().floor(), 1);
  ASSERT_EQ(harness.View("ada")->facts_size(), 1);
  EXPECT_EQ(harness.View("ada")->facts(0).item_id(), "desk");
  EXPECT_EQ(harness.View("ada")->recent_size(), 1);
  EXPECT_EQ(harness.View("bob")->facts_size(), 1);
  EXPECT_EQ(harness.Progress()->position().floor(), 1);
  harness.Announce(Announcement(1, v1::RETIRED, 1));
  harness.Settle({layer.get()});
  EXPECT_EQ(harness.View("ada")->facts_size(), 0);
  EXPECT_EQ(harness.View("bob")->facts_size(), 0);
  EXPECT_EQ(harness.Progress()->position().floor(), 3);
}

TEST(SpeedLayerTest, AUserWithNothingLeftGetsATombstone) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Publish({.user = "ada"});
  harness.Settle({layer.get()});
  harness.broker_clock.Advance(absl::Hours(25));
  harness.Publish({.user = "bob"});
  harness.Announce(Announcement(1, v1::ACTIVATED, 1));
  harness.Settle({layer.get()});
  EXPECT_FALSE(harness.View("ada"));
  EXPECT_TRUE(harness.View("bob"));
  EXPECT_EQ(layer->partition(PartitionId{0})->users(), 1u);
}

TEST(SpeedLayerTest, ATrimThatACrashCutShortIsFinishedByTheNext) {
  SpeedHarness harness(1);
  harness.config.mutable_speed()->set_checkpoint_ms(10);  // So that the crash falls between two pieces of it.
  constexpr int kUsers = 3 * static_cast<int>(kTrimUsers);
  for (int i = 0; i < kUsers; ++i) harness.Publish({.user = absl::StrCat("user", i)});
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  harness.Announce(Announcement(1, v1::ACTIVATED, kUsers));
  while (harness.Progress()->position().floor() == 0) ASSERT_TRUE(harness.Round(*layer).ok());
  const auto untrimmed = [&]() {
    int users = 0;
    for (const auto& [key, record] : harness.Latest("speed-views", 0)) {
      v1::SpeedView view;
      if (key != kProgressKey && view.ParseFromString(*record.value) && view.facts_size() > 0) ++users;
    }
    return users;
  };
  ASSERT_GT(untrimmed(), 0) << "the crash comes too late to show anything";
  layer.reset();
  layer = harness.Start();
  harness.Settle({layer.get()});
  EXPECT_EQ(untrimmed(), 0);
}

// ---- Starting and stopping ----

TEST(SpeedLayerTest, AMissingTopicOrBrokerIsSaidAtTheStart) {
  FakeClock clock;
  FakeEventLog log(clock);
  MetricsRegistry registry;
  const SpeedLayer::Options options{.config = SpeedHarness().config};
  EXPECT_TRUE(absl::IsNotFound(SpeedLayer::Open(log, clock, registry, options).status()));
  log.SetBrokerAway(true);
  EXPECT_TRUE(absl::IsUnavailable(SpeedLayer::Open(log, clock, registry, options).status()));
}

TEST(SpeedLayerTest, TopicsWithOtherPartitionsAreRefused) {
  SpeedHarness harness;
  ASSERT_TRUE(harness.log
                  .CreateTopics({{.name = "x-events", .partitions = 2},
                                 {.name = "x-speed-views", .partitions = 3},
                                 {.name = "x-live-counts", .partitions = 2}})
                  .ok());
  harness.config.mutable_kafka()->set_topic_prefix("x-");
  const absl::Status status = harness.Open().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("x-speed-views"));
}

TEST(SpeedLayerTest, InstallationsOnOneClusterHaveGroupsOfTheirOwn) {
  SpeedHarness harness;
  const auto ours = harness.Start();
  harness.config.mutable_kafka()->set_topic_prefix("theirs.");
  ASSERT_TRUE(harness.log.CreateTopics(TopicsToCreate(Topics("theirs."), harness.config.kafka())).ok());
  const auto theirs = harness.Start();   // Of the same name, in the same group but for the prefix.
  harness.Publish({.user = "ada"});
  for (int round = 0; round < 20; ++round) ASSERT_TRUE(harness.Round(*theirs).ok());
  harness.Settle({ours.get()});
  EXPECT_EQ(harness.Progress(0)->accepted(), 1);
  EXPECT_TRUE(harness.log.GroupOffsets("tributary-speed").contains({"events", PartitionId{0}}));
  EXPECT_FALSE(harness.log.GroupOffsets("tributary-speed").contains({"theirs.events", PartitionId{0}}));
}

TEST(SpeedLayerTest, StopCommitsWhatIsThere) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  harness.Publish({.user = "ada"});
  ASSERT_TRUE(harness.Round(*layer).ok());
  ASSERT_TRUE(layer->in_transaction());
  ASSERT_TRUE(layer->Stop().ok());
  EXPECT_TRUE(harness.View("ada"));
}

TEST(SpeedLayerTest, AnIdleInstanceCommitsNothing) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Publish({});
  harness.Settle({layer.get()});
  const auto end = harness.log.Offsets({"speed-views", PartitionId{0}}, Isolation::kUncommitted)->end;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(harness.Round(*layer).ok());
  EXPECT_EQ(harness.log.Offsets({"speed-views", PartitionId{0}}, Isolation::kUncommitted)->end, end);
}

TEST(SpeedLayerTest, AClockThatJumpsBackDoesNotHoldUpTheCheckpoint) {
  SpeedHarness harness;
  auto layer = harness.Start();
  harness.Settle({layer.get()});
  harness.Publish({.user = "ada"});
  ASSERT_TRUE(harness.Round(*layer).ok());
  harness.clock.Advance(-absl::Hours(5));
  ASSERT_TRUE(harness.Round(*layer).ok());
  EXPECT_TRUE(harness.View("ada"));
}

}  // namespace
}  // namespace tributary::speed
