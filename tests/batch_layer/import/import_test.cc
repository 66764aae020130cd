#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/import/importer.h"
#include "batch_layer/import/mapping.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr char kMapping[] = R"(
  format: CSV
  event_time { value { text: "{time}" } format: "%Y-%m-%d %H:%M:%S" zone: "Europe/London" }
  type_rules { when { column: "what" equals: "skip me" } skip: true }
  type_rules { when { column: "what" starts_with: "buy" } type: PURCHASE }
  type_rules { when { column: "what" equals: "look" } type: VIEW }
  user_id { text: "{user}" strip_suffix: ".0" }
  anonymous_user_id { text: "visit:{visit}" }
  item_id { text: "{item}" upper_case: true }
  session_id { text: "{visit}" }
  quantity { column: "n" absolute: true }
  value { column: "n" times_column: "price" absolute: true }
  attributes { key: "store" value { text: "{shop}" } }
  catalogue { item_id { text: "{item}" upper_case: true } price_column: "price" }
)";
constexpr char kHeader[] = "time,what,user,visit,item,n,price,shop\n";

class ImportTest : public testing::Test {
 protected:
  ImportTest() {
    auto opened = History::Open({.dir = dir_.Join("history"), .events_topic = "events", .segment_size = 1024});
    EXPECT_TRUE(opened.ok()) << opened.status();
    history_ = *std::move(opened);
    dir_.Write("mapping", kMapping);
  }
  absl::StatusOr<ImportReport> Import(const std::string& rows, ImportOptions options = {}) {
    options.file = dir_.Write("file.csv", kHeader + rows);
    options.mapping_file = dir_.Join("mapping");
    return ImportFile(options, *history_);
  }
  std::vector<HistoryEvent> Events() {
    std::vector<HistoryEvent> events;
    EXPECT_TRUE(history_->Scan({.columns = HistoryColumns::All()}, [&events](const HistoryEvent& event) {
                          events.push_back(event);
                          return absl::OkStatus();
                        }).ok());
    return events;
  }

  const TempDir dir_;
  std::unique_ptr<History> history_;
};

TEST_F(ImportTest, ARowBecomesAnEvent) {
  const auto report = Import("2011-07-01 12:00:00,buy one,17.0,v1,abc,-3,2.5,France\n");
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<HistoryEvent> events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].position, (EventPosition{kImportPartition, Offset{2}}));
  const Event& event = events[0].event;
  EXPECT_EQ(event.type, v1::PURCHASE);
  EXPECT_EQ(event.user_id, "17");
  EXPECT_EQ(event.item_id, "ABC");
  EXPECT_EQ(event.session_id, "v1");
  EXPECT_EQ(event.event_time_unix_ms, 1309518000000);     // British summer time: 11:00 UTC.
  EXPECT_EQ(events[0].record_time_unix_ms, event.event_time_unix_ms);
  EXPECT_EQ(event.quantity_micros, 3'000'000);
  EXPECT_EQ(event.value_micros, 7'500'000);
  EXPECT_THAT(event.attributes, ElementsAre(Pair("store", "France")));
  EXPECT_FALSE(event.anonymous);
  char id[40];
  std::snprintf(id, sizeof(id), "%016lx:2", static_cast<unsigned long>(report->xxh64));
  EXPECT_EQ(event.event_id_hash, HashEventId(id));
}

TEST_F(ImportTest, ARowWithoutUserIsAnonymous) {
  ASSERT_TRUE(Import("2011-07-01 12:00:00,look,,v1,abc,,,\n").ok());
  const std::vector<HistoryEvent> events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].event.user_id, "visit:v1");
  EXPECT_TRUE(events[0].event.anonymous);
}

TEST_F(ImportTest, BadRowsGoToTheRejectFileAndStopNothing) {
  const auto report = Import(
      "yesterday,look,u,v,i,,,\n"
      "2011-07-01 12:00:00,dance,u,v,i,,,\n"
      "2011-07-01 12:00:00,look\n"
      "2011-07-01 12:00:00,look,,,i,,,\n"
      "2011-07-01 12:00:00,look,u,v,,,,\n"
      "2011-07-01 12:00:00,buy,u,v,i,many,1,\n"
      "2011-07-01 12:00:00,look,\xff\xfe,v,i,,,\n"
      "2011-07-01 12:00:00,skip me,u,v,i,,,\n"
      "2011-07-01 12:00:00,look,u,v,i,,,\n");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->accepted, 1);
  EXPECT_EQ(report->rejected, 7);
  EXPECT_EQ(report->skipped, 1);
  EXPECT_THAT(report->by_type, UnorderedElementsAre(Pair("VIEW", 1)));
  const std::string rejects = ReadText(report->reject_file);
  EXPECT_EQ(std::count(rejects.begin(), rejects.end(), '\n'), 7);
  EXPECT_THAT(rejects, HasSubstr(R"({"line":"2","reason":)"));
  EXPECT_THAT(rejects, HasSubstr("yesterday"));
  EXPECT_THAT(rejects, HasSubstr("no rule of the mapping"));
  EXPECT_THAT(rejects, HasSubstr("raw_bytes"));
  EXPECT_THAT(rejects, HasSubstr("user_id"));
}

TEST_F(ImportTest, TheSameContentDoesNothingWhateverItsNameAndCompression) {
  ASSERT_TRUE(Import("2011-07-01 12:00:00,look,u,v,i,,,\n").ok());
  const auto again = Import("2011-07-01 12:00:00,look,u,v,i,,,\n");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->already_there);
  EXPECT_EQ(Events().size(), 1u);
}

TEST_F(ImportTest, TimeLimitsCutEventsButNotTheCatalogue) {
  ImportOptions options;
  options.from = absl::FromUnixSeconds(1309518000);
  options.until = absl::FromUnixSeconds(1309518001);
  const auto report = Import(
      "2011-07-01 11:59:59,buy,u,v,before,1,2,\n"
      "2011-07-01 12:00:00,buy,u,v,in,1,3,\n"
      "2011-07-01 12:00:01,buy,u,v,after,1,4,\n",
      options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->accepted, 1);
  EXPECT_EQ(report->outside, 2);
  EXPECT_EQ(report->items, 3);
  EXPECT_EQ(Events()[0].event.item_id, "IN");
  EXPECT_EQ(history_->ReadImportItems(0)->size(), 3u);
}

TEST_F(ImportTest, ConvertGivesTheEventsThatImportWouldTakeInAndChangesNothing) {
  ImportOptions options{.file = dir_.Write("file.csv", absl::StrCat(kHeader, "2011-07-01 12:00:00,buy,17,v1,abc,2,2.5,France\n",
                                                                    "2011-07-01 12:00:00,nonsense,17,v1,abc,2,2.5,France\n",
                                                                    "2011-07-02 12:00:00,look,17,v1,abc,,,\n")),
                        .mapping_file = dir_.Join("mapping"),
                        .until = absl::FromUnixMillis(1309564800000)};     // 2011-07-02, UTC.
  std::vector<v1::Event> events;
  const auto report = ConvertFile(options, [&events](const v1::Event& event) {
    events.push_back(event);
    return absl::OkStatus();
  });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->accepted, 1);
  EXPECT_EQ(report->rejected, 1);
  EXPECT_EQ(report->outside, 1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].user_id(), "17");
  EXPECT_EQ(events[0].type(), v1::PURCHASE);
  EXPECT_EQ(events[0].value(), 5);
  EXPECT_FALSE(events[0].event_id().empty());
  EXPECT_THAT(Events(), testing::IsEmpty());
  EXPECT_EQ(ConvertFile(options, [](const v1::Event&) { return absl::AbortedError("enough"); }).status(),
            absl::AbortedError("enough"));
}

TEST_F(ImportTest, AFileThatIsNotWhatTheMappingSaysChangesNothing) {
  ImportOptions options;
  options.file = dir_.Write("other.csv", "a,b\n1,2\n");
  options.mapping_file = dir_.Join("mapping");
  EXPECT_EQ(ImportFile(options, *history_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(history_->manifest().imports_size(), 0);
}

TEST(MappingTest, MistakesAreNamed) {
  const TempDir dir;
  const std::vector<std::pair<std::string, std::string>> table = {
      {"fromat: CSV", "fromat"},
      {"format: CSV user_id { text: \"{u}\" }", "type_rules"},
      {"format: CSV type_rules { type: VIEW }", "user_id"},
      {"format: CSV user_id { text: \"{u}\" } type_rules { type: VIEW }", "event_time"},
      {"user_id { text: \"{u}\" } type_rules { type: VIEW }", "field=format"},
      {"format: CSV user_id { text: \"{u\" } type_rules { type: VIEW } event_time { format: \"unix_s\" }", "user_id"},
      {"format: CSV user_id { text: \"u}\" } type_rules { type: VIEW } event_time { format: \"unix_s\" }", "user_id"},
      {"format: CSV user_id { text: \"{u}\" } type_rules { } event_time { format: \"unix_s\" }", "type_rules[0]"},
      {"format: CSV user_id { text: \"{u}\" } type_rules { when { column: \"c\" matches: \"(\" } type: VIEW } "
       "event_time { format: \"unix_s\" }",
       "pattern"},
      {"format: CSV user_id { text: \"{u}\" } type_rules { type: VIEW } event_time { format: \"unix_s\" zone: \"Moon\" }", "Moon"},
      {"format: CSV delimiter: \"::\" user_id { text: \"{u}\" } type_rules { type: VIEW } event_time { format: \"unix_s\" }",
       "delimiter"},
  };
  for (const auto& [text, named] : table) {
    const auto mapping = LoadMapping(dir.Write("m", text));
    EXPECT_EQ(mapping.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(mapping.status().message()), HasSubstr(named)) << text;
  }
  EXPECT_EQ(LoadMapping(dir.Join("none")).status().code(), absl::StatusCode::kNotFound);
}

// The counts are those of deploy/sample_data/README.md.
TEST(OnlineRetailTest, TheSampleDataImportsAsDocumented) {
  const TempDir dir;
  auto history = History::Open({.dir = dir.Join("history"), .events_topic = "events", .segment_size = 1024});
  ASSERT_TRUE(history.ok());
  const std::string sample = std::string(TRIBUTARY_SOURCE_DIR) + "/deploy/sample_data/online_retail";
  ImportOptions options;
  options.file = sample + ".csv.zst";
  options.mapping_file = sample + ".mapping.textproto";
  options.reject_file = dir.Join("rejects");
  const auto report = ImportFile(options, **history);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->accepted, 541'909);
  EXPECT_EQ(report->rejected, 0);
  EXPECT_EQ(report->items, 3'817);
  EXPECT_THAT(report->by_type, UnorderedElementsAre(Pair("ADJUSTMENT", 2'916 + 2'500), Pair("PURCHASE", 396'337 + 131'452),
                                                    Pair("RETURN", 8'539 + 165)));
  std::set<std::string> customers, products;
  int64_t anonymous = 0;
  ASSERT_TRUE((*history)->Scan({.columns = HistoryColumns::All()}, [&](const HistoryEvent& row) {
                           if (row.event.type == v1::ADJUSTMENT) {
                             return absl::OkStatus();
                           }
                           if (row.event.anonymous) {
                             ++anonymous;
                             EXPECT_THAT(row.event.user_id, testing::StartsWith("invoice:"));
                           } else {
                             customers.insert(row.event.user_id);
                             products.insert(row.event.item_id);
                           }
                           return absl::OkStatus();
                         }).ok());
  EXPECT_EQ(anonymous, 131'617);
  EXPECT_EQ(customers.size(), 4'362u);
  EXPECT_EQ(products.size(), 3'676u);
  std::map<std::string, int> categories;
  const auto items = (*history)->ReadImportItems(0);
  ASSERT_TRUE(items.ok());
  for (const v1::Item& item : *items) {
    ASSERT_EQ(item.categories_size(), 1);
    ++categories[item.categories(0)];
  }
  EXPECT_EQ(categories.size(), 114u);
  EXPECT_EQ(categories["other"], 23);
  EXPECT_EQ(categories["decoration"], 161);
  EXPECT_EQ(categories["bag"], 138);
  EXPECT_EQ(categories["bracelet"], 78);
}

}  // namespace
}  // namespace tributary::batch
