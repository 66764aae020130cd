#include "speed_layer/partition_state.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "speed_layer/partition_restore.h"
#include "tests/speed_layer/test_events.h"

namespace tributary::speed {
namespace {

using ::testing::ElementsAre;
using Kind = ApplyOutcome::Kind;

constexpr PartitionId kPartition{0};

PartitionSettings Settings() {
  return {.topics = Topics(""),
          .segment_size = 4,
          .limits = {.facts = 100},
          .allowed_lateness = absl::Hours(1),
          .instance = "test"};
}

auto Into(std::vector<ProduceRecord>* records) {
  return [records](ProduceRecord record) { records->push_back(std::move(record)); };
}

class PartitionStateTest : public ::testing::Test {
 protected:
  std::vector<ProduceRecord> Changes() {
    std::vector<ProduceRecord> records;
    state_.TakeChanges(Into(&records));
    return records;
  }
  std::vector<ProduceRecord> Counts() {
    std::vector<ProduceRecord> records;
    state_.TakeCounts(Into(&records));
    return records;
  }
  void TrimAll() {
    while (state_.TrimSome()) {
    }
  }

  const PartitionSettings settings_ = Settings();
  PartitionState state_{settings_, kPartition, PartitionStart()};
};

v1::SpeedView ViewIn(const ProduceRecord& record) {
  v1::SpeedView view;
  EXPECT_TRUE(record.value && view.ParseFromString(*record.value));
  return view;
}

v1::Progress ProgressIn(const ProduceRecord& record) {
  EXPECT_EQ(record.key, kProgressKey);
  v1::Progress progress;
  EXPECT_TRUE(record.value && progress.ParseFromString(*record.value));
  return progress;
}

TEST_F(PartitionStateTest, AcceptedEventsBecomeViewsEndedByProgress) {
  EXPECT_EQ(state_.Apply(EventRecord(0, {.user = "ada"})).kind, Kind::kAccepted);
  EXPECT_EQ(state_.Apply(EventRecord(1, {.user = "bob"})).kind, Kind::kAccepted);
  EXPECT_EQ(state_.Apply(EventRecord(2, {.user = "ada", .type = v1::PURCHASE})).kind, Kind::kAccepted);
  const auto records = Changes();
  ASSERT_EQ(records.size(), 3u);  // Coalesced: one view a user, however many events.
  EXPECT_EQ(records[0].key, "ada");
  EXPECT_EQ(records[0].topic, "speed-views");
  EXPECT_EQ(records[0].partition, kPartition);
  EXPECT_EQ(ViewIn(records[0]).facts_size(), 2);
  EXPECT_EQ(ViewIn(records[0]).position().applied_offset(), 3);
  EXPECT_EQ(records[1].key, "bob");
  const v1::Progress progress = ProgressIn(records[2]);
  EXPECT_EQ(progress.position().applied_offset(), 3);
  EXPECT_EQ(progress.accepted(), 3);
  EXPECT_EQ(progress.record_time_unix_ms(), kNowMs);
  EXPECT_EQ(progress.instance(), "test");
  EXPECT_FALSE(state_.dirty());
  EXPECT_TRUE(Changes().empty());
}

TEST_F(PartitionStateTest, ARepeatedIdIsADuplicateAndOnlyMovesThePosition) {
  state_.Apply(EventRecord(0, {.id = "e1"}));
  Changes();
  EXPECT_EQ(state_.Apply(EventRecord(1, {.item = "other", .id = "e1"})).kind, Kind::kDuplicate);
  const auto records = Changes();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(ProgressIn(records[0]).position().applied_offset(), 2);
  EXPECT_EQ(ProgressIn(records[0]).duplicates(), 1);
}

TEST_F(PartitionStateTest, ARecordBelowTheAppliedOffsetChangesNothing) {
  state_.Apply(EventRecord(5, {}));
  Changes();
  EXPECT_EQ(state_.Apply(EventRecord(5, {})).kind, Kind::kSkipped);
  EXPECT_EQ(state_.Apply(EventRecord(3, {})).kind, Kind::kSkipped);
  EXPECT_FALSE(state_.dirty());
  EXPECT_EQ(state_.progress().accepted(), 1);
}

TEST_F(PartitionStateTest, BadEventsBecomeDeadLettersWithTheOriginalBytes) {
  const std::string future = Bytes({.time_ms = kNowMs + kDayMs + 1});
  v1::Event negative_event = Message({.type = v1::PURCHASE});
  negative_event.set_value(-1);
  const std::vector<std::pair<std::string, v1::RejectCause>> cases = {
      {"\xff\xff\xff", v1::MALFORMED},
      {"{\"no_such_field\": 1}", v1::MALFORMED},
      {std::string(kMaxEventBytes + 1, 'x'), v1::OVERSIZED},
      {negative_event.SerializeAsString(), v1::BAD_VALUE},
      {future, v1::TIME_IN_FUTURE},
      {Bytes({.user = "a\x01"}), v1::CONTROL_CHARACTER},
      {Bytes({.user = ""}), v1::MISSING_FIELD},
  };
  int64_t offset = 0;
  for (const auto& [value, cause] : cases) {
    LogRecord record = EventRecord(offset, {});
    record.value = value;
    record.key = "the key";
    const ApplyOutcome outcome = state_.Apply(record);
    ASSERT_EQ(outcome.kind, Kind::kRejected) << offset;
    ASSERT_TRUE(outcome.dead_letter);
    EXPECT_EQ(outcome.dead_letter->cause(), cause) << outcome.dead_letter->reason();
    EXPECT_EQ(outcome.dead_letter->source().offset(), offset);
    EXPECT_EQ(outcome.dead_letter->source_topic(), "events");
    EXPECT_EQ(outcome.dead_letter->original_value(), value);
    EXPECT_EQ(outcome.dead_letter->original_key(), "the key");
    EXPECT_FALSE(outcome.dead_letter->reason().empty());
    ++offset;
  }
  LogRecord tombstone = EventRecord(offset, {});
  tombstone.value.reset();
  EXPECT_EQ(state_.Apply(tombstone).kind, Kind::kRejected);
  EXPECT_EQ(state_.progress().dead_lettered(), static_cast<int64_t>(cases.size()) + 1);
  EXPECT_EQ(state_.users(), 0u);
}

TEST_F(PartitionStateTest, ALateEventCountsAndIsCopied) {
  const ApplyOutcome in_time = state_.Apply(EventRecord(0, {.time_ms = kNowMs - 3'600'000}));
  EXPECT_FALSE(in_time.late);
  const ApplyOutcome late = state_.Apply(EventRecord(1, {.time_ms = kNowMs - 3'600'001}));
  EXPECT_EQ(late.kind, Kind::kAccepted);
  ASSERT_TRUE(late.late);
  EXPECT_EQ(late.late->lateness_ms(), 3'600'001);
  EXPECT_EQ(late.late->source().offset(), 1);
  EXPECT_EQ(late.late->event().user_id(), "ada");
  EXPECT_EQ(state_.progress().late(), 1);
  EXPECT_EQ(state_.progress().accepted(), 2);
}

TEST_F(PartitionStateTest, RecordTimeIsTheRunningMaximum) {
  state_.Apply(EventRecord(0, {}, kNowMs));
  state_.Apply(EventRecord(1, {}, kNowMs - 5'000));
  EXPECT_EQ(state_.record_time_unix_ms(), kNowMs);
  // Judged against the maximum, not against its own append time.
  EXPECT_EQ(state_.Apply(EventRecord(2, {.time_ms = kNowMs + kDayMs}, kNowMs - 5'000)).kind, Kind::kAccepted);
}

TEST_F(PartitionStateTest, AnImpressionWithoutAnIdCountsAndLeavesNothing) {
  EXPECT_EQ(state_.Apply(EventRecord(0, {.type = v1::IMPRESSION})).kind, Kind::kAccepted);
  EXPECT_EQ(state_.users(), 0u);
  EXPECT_EQ(Changes().size(), 1u);  // The progress.
  EXPECT_EQ(Counts().size(), 1u);
}

TEST_F(PartitionStateTest, AnImpressionIsInTheViewWhereImpressionsAreKept) {
  PartitionSettings settings = Settings();
  settings.limits.impressions = 16;
  PartitionState state(settings, kPartition, PartitionStart());
  state.Apply(EventRecord(0, {.type = v1::IMPRESSION}));
  std::vector<ProduceRecord> records;
  state.TakeChanges(Into(&records));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(ViewIn(records.at(0)).impressions_size(), 1);
  state.RaiseFloor(Offset{1});
  while (state.TrimSome()) {
  }
  records.clear();
  state.TakeChanges(Into(&records));
  EXPECT_EQ(records.size(), 1u) << "the floor says nothing of impressions";
}

TEST_F(PartitionStateTest, UsersWhoWereRestoredAreLookedAtOnlyWhereOneMayHaveToBeTrimmed) {
  const auto sweeps = [](Offset lowest_fact, int64_t oldest_record_time, int64_t raised_floor = 0) {
    const PartitionSettings settings = Settings();
    PartitionStart start;
    start.progress.mutable_position()->set_floor(5);
    start.progress.set_record_time_unix_ms(kNowMs);
    // Whoever looks at her finds something to trim, whatever was said.
    bool loaded = false;
    UserEntry& ada = **start.users.Load("ada", &loaded);
    ada.user.Apply(std::get<Event>(ParseEvent(Bytes({}), kNowMs)), Offset{3}, kNowMs, settings.limits);
    start.untrimmed = {.floor = lowest_fact, .record_time_unix_ms = oldest_record_time};
    PartitionState state(settings, kPartition, std::move(start));
    state.RaiseFloor(Offset{raised_floor});
    while (state.TrimSome()) {
    }
    std::vector<ProduceRecord> records;
    state.TakeChanges(Into(&records));
    return !records.empty() && records.front().key == "ada";
  };
  EXPECT_FALSE(sweeps(Offset{5}, kNowMs - kRecentFactMs));
  EXPECT_FALSE(sweeps(LiveUser::Untrimmed().floor, LiveUser::Untrimmed().record_time_unix_ms));
  EXPECT_TRUE(sweeps(Offset{4}, kNowMs));
  EXPECT_TRUE(sweeps(Offset{5}, kNowMs - kRecentFactMs - 1));
  EXPECT_TRUE(sweeps(Offset{5}, kNowMs, 6)) << "the floor rose meanwhile";
}

TEST_F(PartitionStateTest, TheEndOfThePartitionMovesThePosition) {
  state_.AdvanceTo(Offset{7});
  EXPECT_TRUE(state_.dirty());
  EXPECT_EQ(ProgressIn(Changes().at(0)).position().applied_offset(), 7);
  state_.AdvanceTo(Offset{6});
  EXPECT_EQ(state_.applied(), Offset{7});
}

TEST_F(PartitionStateTest, ARaisedFloorTrimsViewsAndRepublishesOnlyWhatChanged) {
  state_.Apply(EventRecord(0, {.user = "ada"}));
  state_.Apply(EventRecord(1, {.user = "bob"}));
  state_.Apply(EventRecord(2, {.user = "ada", .item = "desk"}));
  Changes();
  state_.RaiseFloor(Offset{1});
  TrimAll();
  const auto records = Changes();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key, "ada");
  const v1::SpeedView view = ViewIn(records[0]);
  EXPECT_EQ(view.position().floor(), 1);
  ASSERT_EQ(view.facts_size(), 1);
  EXPECT_EQ(view.facts(0).offset(), 2);
  EXPECT_EQ(view.recent_size(), 1);
  EXPECT_EQ(ProgressIn(records[1]).position().floor(), 1);
  state_.RaiseFloor(Offset{0});
  EXPECT_EQ(state_.floor(), Offset{1});
  EXPECT_FALSE(state_.dirty());
}

TEST_F(PartitionStateTest, AUserWithNothingLeftBecomesATombstoneThatCarriesItsPosition) {
  state_.Apply(EventRecord(0, {.user = "ada"}));
  Changes();
  state_.Apply(EventRecord(1, {.user = "bob", .time_ms = kNowMs + kDayMs + 1}, kNowMs + kDayMs + 1));
  Changes();
  state_.RaiseFloor(Offset{1});
  TrimAll();
  const auto records = Changes();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key, "ada");
  EXPECT_FALSE(records[0].value);
  ASSERT_EQ(records[0].headers.size(), 1u);
  EXPECT_EQ(records[0].headers[0].first, kPositionHeader);
  v1::ViewPosition position;
  ASSERT_TRUE(position.ParseFromString(records[0].headers[0].second));
  EXPECT_EQ(position.applied_offset(), 2);
  EXPECT_EQ(position.floor(), 1);
  EXPECT_EQ(state_.users(), 1u);
}

TEST_F(PartitionStateTest, EventsBelowTheFloorLeaveNoFacts) {
  state_.RaiseFloor(Offset{10});
  state_.Apply(EventRecord(3, {}));
  const v1::SpeedView view = ViewIn(Changes().at(0));
  EXPECT_EQ(view.facts_size(), 0);
  EXPECT_EQ(view.recent_size(), 1);
}

TEST_F(PartitionStateTest, AViewThatWouldNotFitThroughTheBrokerLosesItsOldestViewsFirst) {
  PartitionSettings settings = Settings();
  settings.limits.facts = 100'000;
  PartitionState state(settings, kPartition, PartitionStart());
  const std::string long_item(200, 'i');
  state.Apply(EventRecord(0, {.type = v1::DISLIKE, .item = "never again"}));
  constexpr int kEvents = 5000;
  for (int i = 1; i < kEvents; ++i) state.Apply(EventRecord(i, {.item = long_item}));
  std::vector<ProduceRecord> records;
  state.TakeChanges(Into(&records));
  const v1::SpeedView view = ViewIn(records.at(0));
  EXPECT_LE(view.ByteSizeLong(), kMaxViewBytes);
  EXPECT_TRUE(view.truncated());
  EXPECT_GT(view.facts_size(), 1000);
  EXPECT_EQ(view.facts(0).kind(), v1::DISLIKE);
  EXPECT_EQ(view.facts(view.facts_size() - 1).offset(), kEvents - 1);
  EXPECT_EQ(view.truncated_end_offset(), view.facts(1).offset());
  EXPECT_EQ(state.user("ada")->user.facts().size(), static_cast<size_t>(view.facts_size()));
}

// ---- Counts ----

v1::LiveCounts CountsIn(const ProduceRecord& record) {
  v1::LiveCounts counts;
  EXPECT_TRUE(record.value && counts.ParseFromString(*record.value));
  return counts;
}

TEST_F(PartitionStateTest, CountsArePublishedASegmentAtATimeWithTheirAppliedOffset) {
  for (int i = 0; i < 6; ++i) state_.Apply(EventRecord(i, {}));
  const auto records = Counts();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].topic, "live-counts");
  EXPECT_EQ(records[0].key, "0");
  EXPECT_EQ(records[1].key, "4");
  const v1::LiveCounts open = CountsIn(records[1]);
  EXPECT_EQ(open.segment_start(), 4);
  EXPECT_EQ(open.position().applied_offset(), 6);
  SegmentCounts counts = *SegmentCounts::FromProto(open);
  EXPECT_EQ(counts.Total({v1::OVERALL, "", v1::VIEW}).events, 2);
  EXPECT_EQ(counts.Total({v1::BY_ITEM, "lamp", v1::VIEW}).events, 2);
  EXPECT_TRUE(Counts().empty());
}

TEST_F(PartitionStateTest, AnOpenSegmentFollowsTheAppliedOffsetEvenWhenItsCountsStand) {
  state_.Apply(EventRecord(0, {.id = "e"}));
  Counts();
  state_.Apply(EventRecord(1, {.id = "e"}));  // A duplicate.
  const auto open = Counts();
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(CountsIn(open[0]).position().applied_offset(), 2);
  state_.AdvanceTo(Offset{9});  // Control records to the end of the segment and beyond.
  const auto closed = Counts();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(CountsIn(closed[0]).position().applied_offset(), 9);
  state_.AdvanceTo(Offset{12});
  EXPECT_TRUE(Counts().empty());
}

TEST_F(PartitionStateTest, SegmentsBelowTheFloorGoAfterADayOfRecordTime) {
  for (int i = 0; i < 9; ++i) state_.Apply(EventRecord(i, {}));
  Counts();
  state_.RaiseFloor(Offset{7});  // Cuts segment 4: only segment 0 lies below.
  EXPECT_TRUE(Counts().empty());
  state_.Apply(EventRecord(9, {}, kNowMs + kDayMs + 1));
  const auto records = Counts();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key, "8");
  EXPECT_EQ(records[1].key, "0");
  EXPECT_FALSE(records[1].value);
  EXPECT_EQ(records[1].headers.at(0).first, kPositionHeader);
}

// ---- Restore ----

LogRecord AsRead(const ProduceRecord& record, int64_t offset) {
  return {.source = {record.topic, *record.partition},
          .offset = Offset{offset},
          .append_time_unix_ms = kNowMs,
          .key = record.key,
          .value = record.value,
          .headers = record.headers};
}

class PartitionRestoreTest : public PartitionStateTest {
 protected:
  // Writes what the state would, as a checkpoint does.
  void Write() {
    std::vector<ProduceRecord> records;
    state_.TakeChanges(Into(&records));
    state_.TakeCounts(Into(&records));
    for (const ProduceRecord& record : records)
      written_.push_back(AsRead(record, static_cast<int64_t>(written_.size())));
  }
  absl::StatusOr<PartitionStart> Finish(OffsetRange events, const Floor& floor = {}, int32_t generation = 1) {
    PartitionRestore restore(settings_, kPartition);
    for (const LogRecord& record : written_) {
      if (absl::Status status = restore.Add(record); !status.ok()) return status;
    }
    return restore.Finish(events, floor, generation);
  }

  std::vector<LogRecord> written_;
};

TEST_F(PartitionRestoreTest, GoesOnFromTheProgressWithUsersCountsAndTotals) {
  for (int i = 0; i < 6; ++i) state_.Apply(EventRecord(i, {.user = i % 2 ? "bob" : "ada", .id = absl::StrCat("e", i)}));
  Write();
  PartitionStart start = *Finish({Offset{0}, Offset{100}});
  EXPECT_EQ(start.progress.position().applied_offset(), 6);
  EXPECT_EQ(start.progress.accepted(), 6);
  EXPECT_EQ(start.users.size(), 2u);
  EXPECT_EQ(start.users.Find("ada")->user.facts(), state_.user("ada")->user.facts());
  ASSERT_EQ(start.open_segments.size(), 1u);
  EXPECT_EQ(start.open_segments.begin()->first, Offset{4});
  v1::LiveCounts open;
  std::string bytes;
  start.open_segments.begin()->second.counts.AppendBytes(&bytes);
  EXPECT_TRUE(open.ParseFromString(bytes));
  EXPECT_EQ(SegmentCounts::FromProto(open)->Total({v1::OVERALL, "", v1::VIEW}).events, 2);
  EXPECT_EQ(start.closed_segments.size(), 1u);
  EXPECT_FALSE(start.unwritten);

  PartitionState restored(settings_, kPartition, std::move(start));
  EXPECT_FALSE(restored.dirty());
  EXPECT_EQ(restored.Apply(EventRecord(6, {.id = "e2"})).kind, Kind::kDuplicate);
  std::vector<ProduceRecord> records;
  restored.Apply(EventRecord(7, {.id = "e7"}));
  restored.TakeCounts(Into(&records));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(SegmentCounts::FromProto(CountsIn(records[0]))->Total({v1::OVERALL, "", v1::VIEW}).events, 3);
}

TEST_F(PartitionRestoreTest, TheGenerationNeverFalls) {
  state_.Apply(EventRecord(0, {}));
  Write();
  EXPECT_EQ(Finish({Offset{0}, Offset{9}}, {}, 5)->progress.position().group_generation(), 5);
  PartitionStart start = *Finish({Offset{0}, Offset{9}}, {}, 5);
  PartitionState newer(settings_, kPartition, std::move(start));
  newer.Apply(EventRecord(1, {}));
  std::vector<ProduceRecord> records;
  newer.TakeChanges(Into(&records));
  for (const ProduceRecord& record : records) written_.push_back(AsRead(record, 100));
  EXPECT_EQ(Finish({Offset{0}, Offset{9}}, {}, 1)->progress.position().group_generation(), 5);
}

TEST_F(PartitionRestoreTest, ATombstoneRemovesItsUser) {
  state_.Apply(EventRecord(0, {}));
  Write();
  written_.push_back({.source = {"speed-views", kPartition}, .offset = Offset{50}, .key = "ada"});
  EXPECT_EQ(Finish({Offset{0}, Offset{9}})->users.size(), 0u);
}

TEST_F(PartitionRestoreTest, ATopicThatEndsBelowTheProgressOrAWatermarkStopsLoudly) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish({Offset{0}, Offset{4}}, {.highest_watermark = Offset{5}}).status()));
  for (int i = 0; i < 6; ++i) state_.Apply(EventRecord(i, {}));
  Write();
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish({Offset{0}, Offset{5}}).status()));
  EXPECT_TRUE(Finish({Offset{0}, Offset{6}}).ok());
}

TEST_F(PartitionRestoreTest, EventsLostToRetentionAreAGap) {
  for (int i = 0; i < 6; ++i) state_.Apply(EventRecord(i, {}));
  Write();
  PartitionStart start = *Finish({Offset{20}, Offset{30}});
  EXPECT_EQ(start.progress.gap_end_offset(), 20);
  EXPECT_EQ(start.progress.position().applied_offset(), 20);
  EXPECT_EQ(start.progress.accepted(), 0);
  EXPECT_EQ(start.users.size(), 1u);  // What was known stays known.
  EXPECT_TRUE(start.unwritten);
  PartitionState restored(settings_, kPartition, std::move(start));
  std::vector<ProduceRecord> records;
  restored.TakeChanges(Into(&records));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(ProgressIn(records[0]).gap_end_offset(), 20);
}

TEST_F(PartitionRestoreTest, AGapStaysKnownInLaterProgress) {
  written_.clear();
  v1::Progress progress;
  progress.mutable_position()->set_applied_offset(30);
  progress.set_gap_end_offset(20);
  written_.push_back(
      {.source = {"speed-views", kPartition}, .key = std::string(kProgressKey), .value = progress.SerializeAsString()});
  EXPECT_EQ(Finish({Offset{0}, Offset{40}})->progress.gap_end_offset(), 20);
  EXPECT_FALSE(Finish({Offset{0}, Offset{40}})->unwritten);
}

TEST_F(PartitionRestoreTest, WithoutProgressWhatIsOlderThanADayBeforeTheFloorIsNotCounted) {
  const Floor floor{.offset = Offset{10}, .record_time_unix_ms = kNowMs, .highest_watermark = Offset{10}};
  PartitionState state(settings_, kPartition, *Finish({Offset{0}, Offset{50}}, floor));
  state.RaiseFloor(floor.offset);
  EXPECT_EQ(state.Apply(EventRecord(0, {.user = "ada", .time_ms = kNowMs - kDayMs}, kNowMs - kDayMs - 10)).kind, Kind::kAccepted);
  EXPECT_EQ(state.record_time_unix_ms(), kNowMs - kDayMs - 10);
  EXPECT_EQ(state.Apply(EventRecord(1, {.user = "ada"}, kNowMs - 1000)).kind, Kind::kAccepted);
  for (int i = 2; i < 12; ++i) state.Apply(EventRecord(i, {.user = "ada"}, kNowMs));
  EXPECT_EQ(state.users(), 1u);
  std::vector<ProduceRecord> records;
  state.TakeChanges(Into(&records));
  EXPECT_EQ(ViewIn(records.at(0)).facts_size(), 2);  // 10 and 11.
  EXPECT_EQ(ViewIn(records.at(0)).recent_size(), 9);
  records.clear();
  state.TakeCounts(Into(&records));
  std::vector<std::string> keys;
  for (const ProduceRecord& record : records) keys.push_back(record.key);
  EXPECT_THAT(keys, ElementsAre("4", "8"));  // Whole ones only; the floor's segment is whole.
  EXPECT_EQ(SegmentCounts::FromProto(CountsIn(records[1]))->Total({v1::OVERALL, "", v1::VIEW}).events, 4);
  EXPECT_EQ(state.progress().gap_end_offset(), 0);
}

// An id that came three times: the first two within 24 h, the third more than 24 h after the first. The second was none, so
// the third counts; a state that did not look at the first would say the opposite of both.
TEST_F(PartitionRestoreTest, WithoutProgressIdsRestOnWhatIsOlderThanADayBeforeTheFloorToo) {
  const Floor floor{.offset = Offset{2}, .record_time_unix_ms = kNowMs, .highest_watermark = Offset{2}};
  PartitionState state(settings_, kPartition, *Finish({Offset{0}, Offset{50}}, floor));
  EXPECT_EQ(state.Apply(EventRecord(0, {.time_ms = kNowMs - kDayMs, .id = "e"}, kNowMs - kDayMs - 10)).kind, Kind::kAccepted);
  EXPECT_EQ(state.Apply(EventRecord(1, {.time_ms = kNowMs - kDayMs, .id = "e"}, kNowMs - 1000)).kind, Kind::kDuplicate);
  EXPECT_EQ(state.Apply(EventRecord(2, {.time_ms = kNowMs - kDayMs, .id = "e"}, kNowMs)).kind, Kind::kAccepted);
}

TEST_F(PartitionRestoreTest, TheSegmentThatTheFloorCutsIsCountedHoweverOldItIs) {
  const Floor floor{.offset = Offset{10}, .record_time_unix_ms = kNowMs, .highest_watermark = Offset{10}};
  PartitionState state(settings_, kPartition, *Finish({Offset{0}, Offset{50}}, floor));
  for (int i = 0; i < 10; ++i) state.Apply(EventRecord(i, {.time_ms = kNowMs - 9 * kDayMs}, kNowMs - 9 * kDayMs));
  std::vector<ProduceRecord> records;
  state.TakeCounts(Into(&records));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].key, "8");
  EXPECT_EQ(SegmentCounts::FromProto(CountsIn(records[0]))->Total({v1::OVERALL, "", v1::VIEW}).events, 2);
}

TEST_F(PartitionRestoreTest, WithoutProgressABeginningYoungerThanADayBeforeTheFloorIsAGap) {
  const Floor floor{.offset = Offset{100}, .record_time_unix_ms = kNowMs, .highest_watermark = Offset{100}};
  PartitionState state(settings_, kPartition, *Finish({Offset{50}, Offset{200}}, floor));
  EXPECT_EQ(state.progress().gap_end_offset(), 0);
  state.Apply(EventRecord(50, {}, kNowMs - 1000));
  EXPECT_EQ(state.progress().gap_end_offset(), 50);
  // And one above the floor's segment is known at once.
  EXPECT_EQ(Finish({Offset{101}, Offset{200}}, floor)->progress.gap_end_offset(), 101);
}

TEST_F(PartitionRestoreTest, UnreadableStateIsNamed) {
  written_.push_back({.source = {"speed-views", kPartition}, .offset = Offset{17}, .key = "ada", .value = "\xff"});
  const absl::Status status = Finish({Offset{0}, Offset{9}}).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("offset=17"));
}

TEST_F(PartitionRestoreTest, AnotherSegmentSizeIsRefused) {
  written_.push_back({.source = {"live-counts", kPartition}, .key = "6", .value = ""});
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish({Offset{0}, Offset{9}}).status()));
}

// Wherever a run is cut and restored, the views at the end are the ones of a run without a cut.
TEST(PartitionStateSeamTest, RestoringAtAnyOffsetGivesTheSameViews) {
  const PartitionSettings settings = Settings();
  std::vector<LogRecord> events;
  for (int i = 0; i < 40; ++i) {
    events.push_back(EventRecord(i,
                                 {.user = absl::StrCat("user", i * 7 % 5),
                                  .type = i % 9 == 8 ? v1::FORGET : (i % 3 ? v1::VIEW : v1::PURCHASE),
                                  .item = absl::StrCat("item", i % 4),
                                  .time_ms = kNowMs + i % 6 * 1000,
                                  .id = absl::StrCat("e", i % 23)},
                                 kNowMs + i));
  }
  const auto final_views = [&](PartitionState& state) {
    std::vector<std::pair<std::string, std::string>> views;
    for (int user = 0; user < 5; ++user) {
      v1::SpeedView view;
      if (const UserEntry* entry = state.user(absl::StrCat("user", user))) entry->user.ToProto(&view);
      views.emplace_back(absl::StrCat("user", user), view.SerializeAsString());
    }
    return views;
  };
  PartitionState whole(settings, kPartition, PartitionStart());
  for (const LogRecord& event : events) whole.Apply(event);
  for (int cut = 0; cut <= 40; ++cut) {
    PartitionState before(settings, kPartition, PartitionStart());
    for (int i = 0; i < cut; ++i) before.Apply(events[i]);
    std::vector<ProduceRecord> records;
    before.TakeChanges(Into(&records));
    before.TakeCounts(Into(&records));
    PartitionRestore restore(settings, kPartition);
    for (const ProduceRecord& record : records) ASSERT_TRUE(restore.Add(AsRead(record, 0)).ok());
    PartitionState after(settings, kPartition, *restore.Finish({Offset{0}, Offset{40}}, {}, 1));
    for (int i = cut; i < 40; ++i) after.Apply(events[i]);
    EXPECT_EQ(final_views(after), final_views(whole)) << "cut=" << cut;
    EXPECT_EQ(after.progress().accepted(), whole.progress().accepted());
    EXPECT_EQ(after.progress().duplicates(), whole.progress().duplicates());
  }
}

}  // namespace
}  // namespace tributary::speed
