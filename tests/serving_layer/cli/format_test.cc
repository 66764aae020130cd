#include "serving_layer/cli/format.h"

#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace tributary::serving {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(FormatTest, TableColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(FormatTable({"A", "LONG", "Z"}, {{"wide cell", "b", "c"}, {"1", "2", "3"}}),
            "A          LONG  Z\n"
            "wide cell  b     c\n"
            "1          2     3\n");
}

TEST(FormatTest, AgesTakeTheLargestUnit) {
  EXPECT_EQ(FormatAge(absl::Milliseconds(-5)), "0ms");
  EXPECT_EQ(FormatAge(absl::Milliseconds(999)), "999ms");
  EXPECT_EQ(FormatAge(absl::Seconds(59)), "59s");
  EXPECT_EQ(FormatAge(absl::Minutes(59)), "59m");
  EXPECT_EQ(FormatAge(absl::Hours(23)), "23h");
  EXPECT_EQ(FormatAge(absl::Hours(49)), "2d");
}

TEST(FormatTest, ReasonsNameTheirCause) {
  EXPECT_EQ(FormatReason(Parse<v1::Reason>("source: PERSONAL part: 0.8125")), "PERSONAL 0.812");
  EXPECT_EQ(FormatReason(Parse<v1::Reason>(R"(
              part: 1.3
              category_boost {
                category: "mug" causes: 3
                cause { type: VIEW position { partition: 1 offset: 1042 } age { seconds: 120 } }
              })")),
            "x1.30 category mug (VIEW 2m ago at 1:1042 and 2 more)");
  EXPECT_EQ(FormatReason(Parse<v1::Reason>(R"(part: 0.5 rule { rule_id: "bury-old" })")), "x0.50 rule bury-old");
  EXPECT_EQ(FormatReason(Parse<v1::Reason>(R"(part: 0.25 fatigue { impressions: 4 cause { age { seconds: 61 } } })")),
            "x0.25 shown 4 times, the last 1m ago");
  EXPECT_EQ(FormatReason(v1::Reason()), "?");
}

TEST(FormatTest, DifferencesOfSnapshotsLeaveOutWhatWasNotMeasured) {
  EXPECT_EQ(FormatSnapshotDiff(Parse<v1::SnapshotDiff>(R"(
    before_generation: 9 after_generation: 12
    figures { name: "events" before: 1000 after: 1234 }
    figures { name: "items" before: 0 after: 5 }
    figures { name: "ndcg_at_20" after: 0.25 }
    watermarks { partition: 3 before: 700 after: 650 }
    popular_churn: 0.05
    same_config: true)")),
            "                  9     12      CHANGE\n"
            "events            1000  1234    +23.40 %\n"
            "items             0     5       -\n"
            "ndcg_at_20        -     0.2500  -\n"
            "W of partition 3  700   650     -50\n"
            "gone from the first 20 of users' lists: nothing to compare; of the popular items: 5.0 %\n"
            "other content\n");
}

TEST(FormatTest, ItemsAreRanked) {
  const auto response = Parse<v1::RecommendResponse>(R"(
    items { item_id: "a" score: 1.25 reasons { source: PERSONAL part: 1 } reasons { source: SESSION part: 0.25 } }
    items { item_id: "longer" score: 0.5 })");
  EXPECT_EQ(FormatItems(response.items(), {"Th\u00e9 vert", ""}),
            "RANK  ITEM    TITLE     SCORE   REASONS\n"
            "1     a       Th\u00e9 vert  1.2500  PERSONAL 1, SESSION 0.25\n"
            "2     longer            0.5000  \n");
  EXPECT_EQ(FormatItems({}, {}), "no items\n");
}

TEST(FormatTest, TitlesAreCutBetweenCharactersAndHoldNoControls) {
  EXPECT_EQ(CutTitle(""), "");
  const std::string forty(40, 'x');
  EXPECT_EQ(CutTitle(forty), forty);
  EXPECT_EQ(CutTitle(forty + "x"), std::string(39, 'x') + "\u2026");
  std::string cups;
  for (int i = 0; i < 41; ++i) {
    cups += "\u2615";
  }
  EXPECT_EQ(CutTitle(cups), cups.substr(0, 39 * 3) + "\u2026");
  EXPECT_EQ(CutTitle("a\x1b[2J\nb"), "a?[2J?b");
  EXPECT_EQ(CutTitle("caf\xe9"), "caf?");
}

TEST(FormatTest, FreshnessSaysWhatTheAnswerRestsOnAndLacks) {
  const auto freshness = Parse<v1::Freshness>(R"(
    generation: 3
    snapshot_created { seconds: 1000 }
    partitions { partition: 1 watermark: 871 applied_offset: 1043 lag { nanos: 4000000 } }
    partitions { partition: 2 }
    degraded: UNKNOWN_USER degraded: LIST_SHORT)");
  EXPECT_EQ(FormatFreshness(freshness, absl::FromUnixSeconds(1000 + 7200)),
            "snapshot 3 (2h old); partition 1: W 871, applied 1043, 4ms ago; partition 2: W 0, applied 0; "
            "degraded: UNKNOWN_USER, LIST_SHORT\n");
  EXPECT_EQ(FormatFreshness(v1::Freshness(), absl::UnixEpoch()), "no snapshot\n");
}

TEST(FormatTest, ExperimentsShowRatesWhereThereAreImpressions) {
  EXPECT_EQ(FormatExperimentRates(Parse<v1::ExperimentRatesResponse>(
                R"(buckets { bucket: "e/a" impressions: 200 clicks: 3 purchases: 1 purchase_value_micros: 9500000
                             click_rate: 0.015 purchase_rate: 0.005 }
                   buckets { bucket: "e/b" })")),
            "BUCKET  IMPRESSIONS  CLICKS  CARTS  PURCHASES  VALUE  CLICKED  BOUGHT\n"
            "e/a     200          3       0      1          9.50   1.500 %  0.500 %\n"
            "e/b     0            0       0      0          0.00   -        -\n");
  EXPECT_EQ(FormatExperimentRates(v1::ExperimentRatesResponse()), "no experiments\n");
}

TEST(FormatTest, WindowsSayFromWhenOnTheyAreComplete) {
  EXPECT_EQ(FormatWindows(Parse<v1::WindowsResponse>(
                R"(windows { start { seconds: 1767225600 } events: 2 quantity_micros: 3000000 value_micros: 1500000 }
                   complete_from { seconds: 1767225600 })")),
            "FROM                 EVENTS  QUANTITY  VALUE\n"
            "2026-01-01 00:00:00  2       3.00      1.50\n"
            "complete from 2026-01-01 00:00:00\n");
}

TEST(FormatTest, TotalsShowAmountsInUnits) {
  EXPECT_EQ(FormatTotals(Parse<v1::TotalsResponse>(
                R"(totals { key: "a" type: PURCHASE events: 2 quantity_micros: 3000000 value_micros: 1500000 })")),
            "KEY  TYPE      EVENTS  QUANTITY  VALUE\n"
            "a    PURCHASE  2       3.00      1.50\n");
  EXPECT_EQ(FormatTotals(v1::TotalsResponse()), "no events\n");
}

TEST(FormatTest, RulesShowTargetTimeAndSegment) {
  EXPECT_EQ(FormatRules(Parse<v1::ListRulesResponse>(R"(
              rules { rule_id: "r1" action: BOOST category: "mug" strength: 0.5 start { seconds: 0 } comment: "why" }
              rules { rule_id: "r2" action: HIDE item_id: "a" segment: "vip" })")),
            "RULE  ACTION  TARGET        STRENGTH  SEGMENT  START                END  COMMENT\n"
            "r1    BOOST   category mug  0.5       (all)    1970-01-01 00:00:00  -    why\n"
            "r2    HIDE    item a        0         vip      -                    -    \n");
}

TEST(FormatTest, SnapshotsShowTheCurrentOneAndWhatTheGateSaid) {
  const auto response = Parse<v1::ListSnapshotsResponse>(R"(
    snapshots {
      manifest { generation: 3 }
      gate {
        outcome: REFUSED
        checks { name: "events" passed: true } checks { name: "users" } checks { name: "list_churn" }
      }
    }
    snapshots { manifest { generation: 2 metrics { name: "recall_at_20" value: 0.25 } } gate { outcome: REFUSED damage: "x" } }
    snapshots { manifest { generation: 1 users: 5 items: 6 events: 7 } serving: true gate { outcome: PASSED } })");
  EXPECT_EQ(FormatSnapshots(response),
            "GENERATION  CREATED              EVENTS  USERS  ITEMS  GATE                       QUALITY\n"
            "3           1970-01-01 00:00:00  0       0      0      refused: users list_churn  \n"
            "2           1970-01-01 00:00:00  0       0      0      refused: damaged           recall_at_20=0.2500\n"
            "1*          1970-01-01 00:00:00  7       5      6      passed                     \n");
  EXPECT_EQ(FormatSnapshots({}), "no snapshots\n");
}

TEST(FormatTest, DeadLettersNameSourceAndReason) {
  ListedDeadLetter listed;
  listed.position.set_offset(9);
  listed.letter = Parse<v1::DeadLetter>(R"(
    source { partition: 2 offset: 40 } source_topic: "events" cause: BAD_VALUE field: "value" reason: "is negative")");
  EXPECT_EQ(FormatDeadLetters({listed}),
            "AT   TIME                 SOURCE       CAUSE      FIELD  REASON\n"
            "0:9  1970-01-01 00:00:00  events 2:40  BAD_VALUE  value  is negative\n");
}

TEST(FormatTest, JsonIsOneLine) {
  EXPECT_EQ(FormatJson(Parse<v1::RecommendedItem>(R"(item_id: "a" score: 0.5)")), "{\"itemId\":\"a\",\"score\":0.5}\n");
}

}  // namespace
}  // namespace tributary::serving
