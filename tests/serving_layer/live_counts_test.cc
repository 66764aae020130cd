// What is made of live counts beside totals: windows of event time, and popular items that follow what is live.
#include <cmath>

#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kQuarterSeconds = 15 * 60;

class LiveCountsTest : public ServingLayerTest {
 protected:
  int64_t NowQuarter() const { return world_.now_ms() / 1000 / kQuarterSeconds; }
  // Live counts by item of one segment of partition 0, sorted as they come.
  void PutItemCounts(int64_t start, const v1::ViewPosition& position, int64_t record_time_ms,
                     const std::vector<std::tuple<std::string, v1::EventType, int64_t, int64_t>>& counts) {
    v1::LiveCounts message;
    *message.mutable_position() = position;
    message.set_segment_start(start);
    message.set_record_time_unix_ms(record_time_ms);
    for (const auto& [item, type, quarter, events] : counts) {
      v1::CountDelta* delta = message.add_deltas();
      delta->set_measure(v1::BY_ITEM);
      delta->set_key(item);
      delta->set_type(type);
      delta->set_quarter_hour(quarter);
      delta->set_events(events);
      delta->set_value_micros(10 * events);
    }
    world_.Put(world_.topics.live_counts, absl::StrCat(start), message.SerializeAsString(), 0);
  }
  grpc::Status Windows(const v1::WindowsRequest& request, v1::WindowsResponse* response) {
    grpc::ClientContext context;
    return v1::AnalyticsService::NewStub(channel_)->Windows(&context, request, response);
  }
  v1::WindowsRequest ViewsOf(const std::string& item, int64_t first_quarter, int64_t end_quarter) const {
    v1::WindowsRequest request;
    request.set_measure(v1::BY_ITEM);
    request.set_key(item);
    request.set_type(v1::VIEW);
    request.mutable_start()->set_seconds(first_quarter * kQuarterSeconds);
    request.mutable_end()->set_seconds(end_quarter * kQuarterSeconds);
    return request;
  }
  std::string Popular(const std::string& category = "") {
    v1::PopularRequest request;
    request.set_category(category);
    v1::PopularResponse response;
    grpc::ClientContext context;
    const grpc::Status status = recommendations_->Popular(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> ids;
    for (const v1::RecommendedItem& item : response.items()) {
      ids.push_back(item.item_id());
    }
    return absl::StrJoin(ids, " ");
  }
  void AwaitPopular(const std::string& expected, const std::string& category = "") {
    Eventually([&] { return Popular(category) == expected; }, expected.c_str());
  }
};

TEST_F(LiveCountsTest, WindowsAreQuartersOfEventTimeWhateverTheSnapshotCounted) {
  world_.WriteSnapshot(1, 16, 0, 0);   // W lies above the first segment.
  world_.Activate(1);
  StartReady();
  const int64_t now = NowQuarter();
  PutItemCounts(0, world_.Position(20), world_.now_ms(), {{"i1", v1::VIEW, now - 5, 2}, {"i1", v1::VIEW, now - 1, 3}});
  PutItemCounts(16, world_.Position(20), world_.now_ms(),
                {{"i1", v1::VIEW, now - 1, 4}, {"i1", v1::CLICK, now - 1, 9}, {"i2", v1::VIEW, now - 1, 7}});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  v1::WindowsResponse response;
  ASSERT_TRUE(Windows(ViewsOf("i1", now - 8, now + 1), &response).ok());
  ASSERT_EQ(response.windows_size(), 2);
  EXPECT_EQ(response.windows(0).start().seconds(), (now - 5) * kQuarterSeconds);
  EXPECT_EQ(response.windows(0).events(), 2);
  EXPECT_EQ(response.windows(1).start().seconds(), (now - 1) * kQuarterSeconds);
  EXPECT_EQ(response.windows(1).events(), 7);
  EXPECT_EQ(response.windows(1).value_micros(), 70);
  EXPECT_FALSE(response.has_complete_from());
  EXPECT_EQ(response.freshness().generation(), 1);

  // The start's quarter is in, and one that begins at the end is not.
  v1::WindowsRequest request = ViewsOf("i1", now - 5, now - 1);
  request.mutable_start()->set_seconds(request.start().seconds() + 899);
  response.Clear();
  ASSERT_TRUE(Windows(request, &response).ok());
  EXPECT_EQ(response.windows_size(), 1);
  request.mutable_end()->set_nanos(1);
  response.Clear();
  ASSERT_TRUE(Windows(request, &response).ok());
  EXPECT_EQ(response.windows_size(), 2);
}

TEST_F(LiveCountsTest, WindowsSayFromWhenOnTheyAreComplete) {
  world_.WriteSnapshot(1, 40, 0, 0);
  world_.Activate(1);
  StartReady();
  const int64_t now = NowQuarter();
  // Segments before this one are gone.
  PutItemCounts(32, world_.Position(40), world_.now_ms() - 2000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 3, 1}});
  world_.PutProgress(0, world_.Position(40));
  AwaitApplied(0, 40);
  v1::WindowsResponse response;
  ASSERT_TRUE(Windows(ViewsOf("i1", now - 8, now + 1), &response).ok());
  EXPECT_EQ(response.windows_size(), 1);
  EXPECT_EQ(response.complete_from().seconds(), (now - 1) * kQuarterSeconds);
}

// Found by the simulation (seed 3423328418): an aborted transaction leaves a record of segment 0, and the speed layer that is
// started next begins above it.
TEST_F(LiveCountsTest, WhatAnAbortedTransactionLeftMakesNoWindowComplete) {
  world_.WriteSnapshot(1, 20, 0, 0);
  world_.Activate(1);
  StartReady();
  const int64_t now = NowQuarter();
  PutItemCounts(0, world_.Position(4), world_.now_ms() - 9000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 9, 1}});
  PutItemCounts(16, world_.Position(24), world_.now_ms() - 2000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 3, 1}});
  world_.PutProgress(0, world_.Position(24));
  AwaitApplied(0, 24);
  v1::WindowsResponse response;
  ASSERT_TRUE(Windows(ViewsOf("i1", now - 12, now + 1), &response).ok());
  EXPECT_EQ(response.complete_from().seconds(), (now - 1) * kQuarterSeconds);

  // Whole now, and the segments between have no record.
  PutItemCounts(0, world_.Position(16), world_.now_ms() - 9000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 9, 2}});
  PutItemCounts(16, world_.Position(33), world_.now_ms() - 2000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 3, 1}});
  world_.PutProgress(0, world_.Position(33));
  AwaitApplied(0, 33);
  response.Clear();
  ASSERT_TRUE(Windows(ViewsOf("i1", now - 12, now + 1), &response).ok());
  EXPECT_FALSE(response.has_complete_from());

  // Of the segment that the speed layer is in nothing was counted, and the one before it is not whole.
  PutItemCounts(16, world_.Position(34), world_.now_ms() - 2000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 3, 1}});
  PutItemCounts(48, world_.Position(50), world_.now_ms() - 1000 * kQuarterSeconds, {{"i1", v1::VIEW, now - 2, 1}});
  v1::Progress progress;
  *progress.mutable_position() = world_.Position(70);
  progress.set_record_time_unix_ms(world_.now_ms());
  world_.PutProgress(0, progress);
  AwaitApplied(0, 70);
  response.Clear();
  ASSERT_TRUE(Windows(ViewsOf("i1", now - 12, now + 1), &response).ok());
  EXPECT_EQ(response.complete_from().seconds(), (now + 1) * kQuarterSeconds);
}

TEST_F(LiveCountsTest, WindowsNameTheFieldThatIsRefused) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  const auto refused = [&](const std::function<void(v1::WindowsRequest*)>& change) {
    v1::WindowsRequest request = ViewsOf("i1", 100, 104);
    change(&request);
    v1::WindowsResponse response;
    const grpc::Status status = Windows(request, &response);
    return absl::StrCat(status.error_code(), " ", status.error_message());
  };
  const std::string invalid = absl::StrCat(grpc::INVALID_ARGUMENT, " ");
  EXPECT_EQ(refused([](v1::WindowsRequest*) {}), "0 ");
  EXPECT_THAT(refused([](auto* r) { r->clear_measure(); }), HasSubstr(invalid + "measure"));
  EXPECT_THAT(refused([](auto* r) { r->set_measure(static_cast<v1::Measure>(99)); }), HasSubstr(invalid + "measure"));
  EXPECT_THAT(refused([](auto* r) { r->set_measure(v1::OVERALL); }), HasSubstr(invalid + "key"));
  EXPECT_THAT(refused([](auto* r) { r->clear_key(); }), HasSubstr(invalid + "key"));
  EXPECT_THAT(refused([](auto* r) { r->clear_type(); }), HasSubstr(invalid + "type"));
  EXPECT_THAT(refused([](auto* r) { r->set_type(static_cast<v1::EventType>(99)); }), HasSubstr(invalid + "type"));
  EXPECT_THAT(refused([](auto* r) { r->clear_start(); }), HasSubstr(invalid + "start"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_start()->set_seconds(-1); }), HasSubstr(invalid + "start"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_end()->set_nanos(-1); }), HasSubstr(invalid + "end"));
  EXPECT_THAT(refused([](auto* r) { *r->mutable_end() = r->start(); }), HasSubstr(invalid + "end"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_end()->set_seconds(r->start().seconds() + 7 * 86400 + 1); }),
              HasSubstr(invalid + "end"));
}

class PopularNowTest : public LiveCountsTest {
 protected:
  // In the snapshot i0 has 10, i1 9 and so on; an event weighs 1 and halves in a day.
  void SetUp() override {
    world_.popularity.set_half_life_days(1);
    world_.popularity.set_reference_unix_ms(world_.now_ms());
    v1::KindWeight* weight = world_.popularity.add_kind_weights();
    weight->set_kind(v1::VIEW);
    weight->set_weight(1);
  }
};

TEST_F(PopularNowTest, LiveEventsAreCountedOn) {
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  StartReady();
  AwaitPopular("i0 i1 i2 i3 i4 i5 i6 i7 i8 i9");
  // i4 has 6 and comes to 9.5 with four and a half: between i0 and i1. i9 has 1 and gets some from two days ago.
  PutItemCounts(0, world_.Position(16), world_.now_ms(),
                {{"i4", v1::VIEW, NowQuarter(), 3}, {"i4", v1::CLICK, NowQuarter(), 50},
                 {"i9", v1::VIEW, NowQuarter() - 2 * 96, 16}});
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  AwaitPopular("i0 i1 i4 i2 i3 i5 i9 i6 i7 i8");
  AwaitPopular("i0 i4 i2 i6 i8", "tea");
  AwaitPopular("i1 i3 i5 i9 i7", "toys");
}

TEST_F(PopularNowTest, WhatTheSnapshotCountedIsNotCountedAgain) {
  // W cuts the first segment; what lies below it is in the snapshot, and in its cut counts.
  world_.cut_items = {{"i9", v1::VIEW, NowQuarter(), 20}};
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  PutItemCounts(0, world_.Position(16), world_.now_ms(), {{"i8", v1::VIEW, NowQuarter(), 20}, {"i9", v1::VIEW, NowQuarter(), 20}});
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  AwaitPopular("i8 i0 i1 i2 i3 i4 i5 i6 i7 i9");
}

TEST_F(PopularNowTest, ASegmentThatHasNotReachedWAddsNothing) {
  world_.cut_items = {{"i9", v1::VIEW, NowQuarter(), 20}};
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  PutItemCounts(0, world_.Position(9), world_.now_ms(), {{"i9", v1::VIEW, NowQuarter(), 20}});
  PutItemCounts(16, world_.Position(20), world_.now_ms(), {{"i8", v1::VIEW, NowQuarter(), 20}});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  AwaitPopular("i8 i0 i1 i2 i3 i4 i5 i6 i7 i9");
}

TEST_F(PopularNowTest, ANewItemOfTheTopicRisesByItsLiveEventsAlone) {
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  v1::Item item;
  item.set_item_id("new");
  item.add_categories("tea");
  world_.Put(world_.topics.items, "new", item.SerializeAsString());
  StartReady();
  PutItemCounts(0, world_.Position(16), world_.now_ms(), {{"new", v1::VIEW, NowQuarter(), 30}});
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  AwaitPopular("new i0 i1 i2 i3 i4 i5 i6 i7 i8 i9");
  AwaitPopular("new i0 i2 i4 i6 i8", "tea");
}

TEST_F(PopularNowTest, AnItemThatMovesToAnotherCategoryIsPopularThereAtOnce) {
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  v1::Item item;
  item.set_item_id("new");
  item.add_categories("toys");
  world_.Put(world_.topics.items, "new", item.SerializeAsString());
  StartReady();
  PutItemCounts(0, world_.Position(16), world_.now_ms(), {{"new", v1::VIEW, NowQuarter(), 30}});
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  AwaitPopular("new i1 i3 i5 i7 i9", "toys");
  item.set_categories(0, "tea");
  world_.Put(world_.topics.items, "new", item.SerializeAsString());
  AwaitPopular("new i0 i2 i4 i6 i8", "tea");
}

TEST_F(PopularNowTest, ASnapshotThatDoesNotSayHowItCountedKeepsItsLists) {
  world_.popularity.Clear();
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  StartReady();
  PutItemCounts(0, world_.Position(16), world_.now_ms(), {{"i9", v1::VIEW, NowQuarter(), 30}});
  world_.PutProgress(0, world_.Position(16));
  AwaitApplied(0, 16);
  EXPECT_EQ(Popular(), "i0 i1 i2 i3 i4 i5 i6 i7 i8 i9");
}

class SegmentTrendsTest : public LiveCountsTest {
 protected:
  void PutUser(const std::string& user_id, const std::string& segment, v1::Consent consent = v1::CONSENT_UNSPECIFIED) {
    v1::UserRecord user;
    user.set_user_id(user_id);
    user.set_segment(segment);
    user.set_consent(consent);
    world_.Put(world_.topics.users, user_id, user.SerializeAsString(), Value(PartitionOfKey(user_id, 2)));
  }
  v1::Fact FactAt(v1::EventType kind, const std::string& item, int64_t offset, absl::Duration ago) {
    v1::Fact fact = world_.FactOf(kind, item, offset);
    fact.set_event_time_unix_ms(world_.now_ms() - absl::ToInt64Milliseconds(ago));
    return fact;
  }
  std::string Trending(const std::string& segment, absl::Duration window = absl::Hours(2)) {
    v1::TrendingRequest request;
    request.set_segment(segment);
    request.mutable_window()->set_seconds(absl::ToInt64Seconds(window));
    v1::TrendingResponse response;
    grpc::ClientContext context;
    const grpc::Status status = recommendations_->Trending(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> ids;
    for (const v1::RecommendedItem& item : response.items()) {
      ids.push_back(item.item_id());
    }
    return absl::StrJoin(ids, " ");
  }
  void AwaitTrending(const std::string& segment, const std::string& expected) {
    Eventually([&] { return Trending(segment) == expected; }, expected.c_str());
  }
};

TEST_F(SegmentTrendsTest, ASegmentHasWhatItsUsersDidByEventTime) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  PutUser("ann", "gold");
  PutUser("bob", "gold");
  PutUser("eve", "silver");
  PutUser("nix", "gold", v1::CONSENT_NO_TRACKING);
  const auto hour = absl::Hours(1);
  // On either side of W; what lies longer back than the window is not in it.
  world_.PutView(0, "ann", world_.Position(20),
                 {FactAt(v1::VIEW, "i1", 5, hour), FactAt(v1::VIEW, "i2", 11, hour), FactAt(v1::VIEW, "i9", 12, 5 * hour)});
  world_.PutView(1, "bob", world_.Position(20), {FactAt(v1::PURCHASE, "i2", 3, hour), FactAt(v1::LIKE, "i3", 4, hour)});
  world_.PutView(0, "eve", world_.Position(20), {FactAt(v1::VIEW, "i7", 13, hour)});
  world_.PutView(0, "nix", world_.Position(20), {FactAt(v1::PURCHASE, "i8", 14, hour)});
  world_.PutView(0, "nobody", world_.Position(20), {FactAt(v1::PURCHASE, "i6", 15, hour)});
  world_.PutProgress(0, world_.Position(20));
  AwaitTrending("gold", "i2 i3 i1");
  AwaitTrending("silver", "i7");
  EXPECT_EQ(Trending("bronze"), "");
  EXPECT_EQ(Trending("gold", absl::Hours(8)), "i2 i3 i1 i9");

  // What changes is counted anew, not besides.
  world_.PutView(1, "bob", world_.Position(21), {FactAt(v1::LIKE, "i3", 4, hour)});
  AwaitTrending("gold", "i3 i1 i2");
  PutUser("eve", "gold");
  AwaitTrending("gold", "i3 i1 i2 i7");
  AwaitTrending("silver", "");
  world_.PutTombstone(0, "eve", world_.Position(21));
  AwaitTrending("gold", "i3 i1 i2");
}

}  // namespace
}  // namespace tributary::serving
