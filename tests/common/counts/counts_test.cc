#include "common/counts/counts.h"

#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/seed.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kQuarterMs = 15 * 60 * 1000;
const CountKey kAllViews{v1::OVERALL, "", v1::VIEW};

Event MakeEvent(EventType type, const std::string& item, int64_t time = 0, int64_t value = 0, int64_t quantity = 0) {
  Event event;
  event.type = type;
  event.user_id = "ann";
  event.item_id = item;
  event.event_time_unix_ms = time;
  event.value_micros = value;
  event.quantity_micros = quantity;
  return event;
}

std::vector<CountKey> KeysOf(const Event& event) {
  std::vector<CountKey> keys;
  ForEachCount(event, [&](const CountKeyView& key, const CountAmounts& amounts) {
    EXPECT_EQ(amounts, (CountAmounts{1, event.quantity_micros, event.value_micros}));
    keys.push_back({key.measure, std::string(key.key), key.type});
  });
  return keys;
}

TEST(ForEachCountTest, EveryEventCountsOverallAndByWhatItNames) {
  Event event = MakeEvent(v1::PURCHASE, "tea", 0, 5, 7);
  event.page = "/p";
  event.category = "drinks";
  event.anonymous = true;
  event.attributes = {{"device", "phone"}, {"store", "Wien"}};
  event.experiment_bucket = "tea/green";
  EXPECT_THAT(KeysOf(event),
              ElementsAre(CountKey{v1::OVERALL, "", v1::PURCHASE}, CountKey{v1::BY_ITEM, "tea", v1::PURCHASE},
                          CountKey{v1::BY_PAGE, "/p", v1::PURCHASE}, CountKey{v1::BY_CATEGORY, "drinks", v1::PURCHASE},
                          CountKey{v1::BY_STORE, "Wien", v1::PURCHASE},
                          CountKey{v1::BY_BUCKET, "tea/green", v1::PURCHASE}));
  EXPECT_THAT(KeysOf(MakeEvent(v1::IMPRESSION, "")), ElementsAre(CountKey{v1::OVERALL, "", v1::IMPRESSION}));
}

TEST(QuarterHourTest, RoundsDown) {
  EXPECT_EQ(QuarterHour(0), 0);
  EXPECT_EQ(QuarterHour(kQuarterMs - 1), 0);
  EXPECT_EQ(QuarterHour(kQuarterMs), 1);
  EXPECT_EQ(QuarterHour(-1), -1);
  EXPECT_EQ(QuarterHour(-kQuarterMs), -1);
}

TEST(SegmentStartTest, IsTheMultipleBelow) {
  EXPECT_EQ(SegmentStart(Offset{0}, 1024), Offset{0});
  EXPECT_EQ(SegmentStart(Offset{1023}, 1024), Offset{0});
  EXPECT_EQ(SegmentStart(Offset{1024}, 1024), Offset{1024});
  EXPECT_EQ(SegmentStart(Offset{5}, 1), Offset{5});
}

TEST(CountAmountsTest, SumsStayAtTheEndInsteadOfTurningNegative) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  CountAmounts amounts{1, kMax - 1, 9000000000000000000};
  amounts += {1, 1, 9000000000000000000};
  EXPECT_EQ(amounts, (CountAmounts{2, kMax, kMax}));
  amounts -= {2, kMax, kMax};
  EXPECT_EQ(amounts, CountAmounts{});
  amounts = {-2, 0, 0};
  amounts -= {kMax, 0, 0};
  EXPECT_EQ(amounts.events, std::numeric_limits<int64_t>::min());
}

TEST(SegmentCountsTest, TotalsAreSumsOverAllQuarterHoursOfOneKey) {
  SegmentCounts counts;
  EXPECT_TRUE(counts.empty());
  counts.Add(MakeEvent(v1::VIEW, "tea", 0, 1));
  counts.Add(MakeEvent(v1::VIEW, "tea", 10 * kQuarterMs, 2));
  counts.Add(MakeEvent(v1::VIEW, "teapot", 0, 4));
  counts.Add(MakeEvent(v1::CLICK, "tea", 0, 8));
  EXPECT_EQ(counts.Total({v1::BY_ITEM, "tea", v1::VIEW}), (CountAmounts{2, 0, 3}));
  EXPECT_EQ(counts.Total(kAllViews), (CountAmounts{3, 0, 7}));
  EXPECT_EQ(counts.Total({v1::BY_PAGE, "tea", v1::VIEW}), CountAmounts{});
}

TEST(SegmentCountsTest, TheWayThroughTheMessageIsExactAndSorted) {
  SegmentCounts counts;
  for (const auto& [item, time] : {std::pair{"b", 5}, {"a", 3}, {"a", 1}}) {
    counts.Add(MakeEvent(v1::PURCHASE, item, time * kQuarterMs, 3, 4));
  }
  v1::LiveCounts message;
  counts.ToProto(&message);
  ASSERT_EQ(message.deltas_size(), 6);
  EXPECT_EQ(message.deltas(3).key(), "a");
  EXPECT_EQ(message.deltas(3).quarter_hour(), 1);
  const auto read = SegmentCounts::FromProto(message);
  ASSERT_TRUE(read.ok()) << read.status();
  v1::LiveCounts again;
  read->ToProto(&again);
  EXPECT_EQ(again.SerializeAsString(), message.SerializeAsString());
  int visited = 0;
  read->ForEach([&](const CountKey& key, int64_t quarter_hour, const CountAmounts& amounts) {
    const v1::CountDelta& delta = message.deltas(visited++);
    EXPECT_EQ(key.key, delta.key());
    EXPECT_EQ(quarter_hour, delta.quarter_hour());
    EXPECT_EQ(amounts.value_micros, delta.value_micros());
  });
  EXPECT_EQ(visited, 6);
}

TEST(SegmentCountsTest, CountsThatAreNoCountsAreRefused) {
  SegmentCounts counts;
  counts.Add(MakeEvent(v1::VIEW, "tea"));
  v1::LiveCounts good;
  counts.ToProto(&good);
  struct Case {
    std::string message;
    std::function<void(v1::LiveCounts*)> spoil;
  };
  for (const Case& c : {Case{"not sorted", [](auto* m) { m->mutable_deltas()->SwapElements(0, 1); }},
                        Case{"not sorted", [](auto* m) { *m->add_deltas() = m->deltas(1); }},
                        Case{"without measure or type", [](auto* m) { m->mutable_deltas(0)->clear_measure(); }},
                        Case{"without measure or type", [](auto* m) { m->mutable_deltas(0)->clear_type(); }},
                        Case{"negative", [](auto* m) { m->mutable_deltas(1)->set_events(-1); }},
                        Case{"negative", [](auto* m) { m->mutable_deltas(1)->set_value_micros(-1); }},
                        Case{"negative", [](auto* m) { m->mutable_deltas(1)->set_quantity_micros(-1); }}}) {
    v1::LiveCounts message = good;
    c.spoil(&message);
    const auto result = SegmentCounts::FromProto(message);
    EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
    EXPECT_THAT(result.status().message(), HasSubstr(c.message));
  }
}

TEST(LiveContributionTest, DependsOnWhereTheWatermarkLies) {
  SegmentCounts counts;
  for (int i = 0; i < 5; ++i) counts.Add(MakeEvent(v1::VIEW, "tea"));
  SegmentCounts cut;
  for (int i = 0; i < 2; ++i) cut.Add(MakeEvent(v1::VIEW, "tea"));
  struct Case {
    int64_t applied;
    int64_t watermark;
    int64_t events;
  };
  // The segment is [8, 16).
  for (const Case& c : {Case{16, 0, 5}, Case{16, 8, 5}, Case{9, 8, 5}, Case{16, 10, 3}, Case{10, 10, 3}, Case{9, 10, 0},
                        Case{16, 15, 3}, Case{16, 16, 0}, Case{16, 17, 0}}) {
    const LiveSegment segment{Offset{8}, Offset{c.applied}, &counts};
    EXPECT_EQ(LiveContribution(segment, 8, Offset{c.watermark}, cut, kAllViews).events, c.events)
        << "applied=" << c.applied << " watermark=" << c.watermark;
  }
  EXPECT_EQ(LiveContribution({Offset{8}, Offset{16}, nullptr}, 8, Offset{0}, cut, kAllViews), CountAmounts{});
}

TEST(LiveContributionPropertyTest, SnapshotAndLiveSideAddUpToEverythingForEveryW) {
  std::mt19937_64 random(reference::TestSeed());
  const auto pick = [&](int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random); };
  for (int run = 0; run < 50; ++run) {
    const int64_t segment_size = int64_t{1} << pick(5);
    std::vector<Event> log;
    for (int64_t i = pick(80); i > 0; --i) {
      log.push_back(MakeEvent(static_cast<EventType>(1 + pick(3)), std::string(1, static_cast<char>('a' + pick(3))),
                              pick(5 * kQuarterMs), pick(1000), pick(1000)));
    }
    std::map<int64_t, SegmentCounts> segments;
    SegmentCounts all;
    for (size_t o = 0; o < log.size(); ++o) {
      segments[Value(SegmentStart(Offset{static_cast<int64_t>(o)}, segment_size))].Add(log[o]);
      all.Add(log[o]);
    }
    std::set<CountKey> keys;
    all.ForEach([&](const CountKey& key, int64_t, const CountAmounts&) { keys.insert(key); });
    for (size_t w = 0; w <= log.size(); ++w) {
      const Offset watermark{static_cast<int64_t>(w)};
      SegmentCounts snapshot;
      SegmentCounts cut;
      for (size_t o = 0; o < w; ++o) {
        snapshot.Add(log[o]);
        if (static_cast<int64_t>(o) >= Value(SegmentStart(watermark, segment_size))) cut.Add(log[o]);
      }
      for (const CountKey& key : keys) {
        CountAmounts total = snapshot.Total(key);
        for (const auto& [start, counts] : segments) {
          total += LiveContribution({Offset{start}, Offset{static_cast<int64_t>(log.size())}, &counts}, segment_size,
                                    watermark, cut, key);
        }
        ASSERT_EQ(total, all.Total(key)) << "run=" << run << " w=" << w << " key=" << key.key;
      }
    }
  }
}

TEST(SegmentTallyTest, WritesWhatSegmentCountsWrites) {
  std::mt19937_64 random(reference::TestSeed());
  SegmentCounts counts;
  SegmentTally tally;
  for (int n = 0; n < 500; ++n) {
    Event event = MakeEvent(static_cast<EventType>(1 + random() % v1::FORGET), "i" + std::to_string(random() % 20),
                            static_cast<int64_t>(random() % 4) * kQuarterMs, static_cast<int64_t>(random() % 3),
                            static_cast<int64_t>(random() % 3));
    if (random() % 2 == 0) event.attributes = {{"store", "a store with a long name"}};
    counts.Add(event);
    tally.Add(event);
    v1::LiveCounts message;
    counts.ToProto(&message);
    std::string bytes;
    tally.AppendBytes(&bytes);
    ASSERT_EQ(bytes, message.SerializeAsString()) << "n=" << n;
    if (random() % 10 == 0) {
      auto restored = SegmentTally::FromProto(message);
      ASSERT_TRUE(restored.ok()) << restored.status();
      tally = *std::move(restored);
    }
  }
}

}  // namespace
}  // namespace tributary
