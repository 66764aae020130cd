#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "batch_layer/history/forgotten_users.h"
#include "batch_layer/history/history.h"
#include "tests/fakes/temp_dir.h"

// A history as format version 1 wrote it, in golden/, and one of version 2, in golden_2/: they must be read for good. Each was
// made by running its test with TRIBUTARY_WRITE_GOLDEN naming a folder that does not exist; a new format version gets a golden
// history of its own.
namespace tributary::batch {
namespace {

HistoryEvent GoldenEvent(EventPosition position) {
  HistoryEvent row;
  row.position = position;
  row.record_time_unix_ms = 1'600'000'000'500;
  row.event.type = v1::PURCHASE;
  row.event.user_id = "user";
  row.event.event_time_unix_ms = 1'600'000'000'001;
  row.event.item_id = "item";
  row.event.page = "page";
  row.event.category = "category";
  row.event.query = "query";
  row.event.session_id = "session";
  row.event.event_id_hash = 0xfedcba9876543210;
  row.event.value_micros = 1'250'000;
  row.event.quantity_micros = 2'000'000;
  row.event.anonymous = true;
  row.event.attributes = {{"store", "here"}};
  row.event.experiment_bucket = "bucket";
  return row;
}

HistoryOptions Options(const std::string& dir) { return {.dir = dir, .events_topic = "events", .segment_size = 1024}; }

void WriteGolden(const std::string& dir) {
  auto history = History::Open(Options(dir));
  ASSERT_TRUE(history.ok()) << history.status();
  auto import = (*history)->BeginImport(0xabcdef, "file.csv");
  ASSERT_TRUE(import.ok());
  ASSERT_TRUE((*import)->Append({GoldenEvent({kImportPartition, Offset{2}})}).ok());
  v1::Item item;
  item.set_item_id("item");
  item.set_title("Title");
  ASSERT_TRUE((*import)->Commit(3, {item}).ok());
  const HistoryEvent event = GoldenEvent({PartitionId{1}, Offset{7}});
  ASSERT_TRUE((*history)->Append({PartitionId{1}, Offset{0}, Offset{9}, 1'600'000'000'600, {&event, 1}}).ok());
  ASSERT_TRUE((*history)->RecordGap(PartitionId{0}, Offset{5}).ok());
}

TEST(GoldenHistoryTest, FormatVersion1IsRead) {
  if (const char* dir = std::getenv("TRIBUTARY_WRITE_GOLDEN"); dir != nullptr) {
    WriteGolden(dir);
  }
  const TempDir temp;
  std::filesystem::copy(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/batch_layer/history/golden", temp.Join("history"),
                        std::filesystem::copy_options::recursive);
  auto history = History::Open(Options(temp.Join("history")));
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_TRUE((*history)->HasImport(0xabcdef));
  EXPECT_EQ((*history)->manifest().imports(0).rejected(), 3);
  EXPECT_EQ((*history)->End(PartitionId{0}).offset, Offset{5});
  EXPECT_EQ((*history)->End(PartitionId{1}).offset, Offset{9});
  EXPECT_EQ((*history)->End(PartitionId{1}).record_time_unix_ms, 1'600'000'000'600);
  const auto items = (*history)->ReadImportItems(0);
  ASSERT_TRUE(items.ok()) << items.status();
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].title(), "Title");
  std::vector<HistoryEvent> rows;
  ASSERT_TRUE((*history)->Scan({.columns = HistoryColumns::All()}, [&rows](const HistoryEvent& row) {
                           rows.push_back(row);
                           return absl::OkStatus();
                         }).ok());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].position, (EventPosition{kImportPartition, Offset{2}}));
  EXPECT_EQ(rows[1].position, (EventPosition{PartitionId{1}, Offset{7}}));
  const HistoryEvent expected = GoldenEvent({PartitionId{1}, Offset{7}});
  EXPECT_EQ(rows[1].record_time_unix_ms, expected.record_time_unix_ms);
  EXPECT_EQ(rows[1].event.type, expected.event.type);
  EXPECT_EQ(rows[1].event.user_id, expected.event.user_id);
  EXPECT_EQ(rows[1].event.event_time_unix_ms, expected.event.event_time_unix_ms);
  EXPECT_EQ(rows[1].event.item_id, expected.event.item_id);
  EXPECT_EQ(rows[1].event.session_id, expected.event.session_id);
  EXPECT_EQ(rows[1].event.event_id_hash, expected.event.event_id_hash);
  EXPECT_EQ(rows[1].event.value_micros, expected.event.value_micros);
  EXPECT_EQ(rows[1].event.quantity_micros, expected.event.quantity_micros);
  EXPECT_EQ(rows[1].event.anonymous, expected.event.anonymous);
  EXPECT_EQ(rows[1].event.attributes, expected.event.attributes);
  EXPECT_EQ(rows[1].event.experiment_bucket, expected.event.experiment_bucket);
}

// Version 2: the user of an event was forgotten, another's is still to be.
void WriteGolden2(const std::string& dir) {
  auto history = History::Open(Options(dir));
  ASSERT_TRUE(history.ok()) << history.status();
  std::vector<HistoryEvent> events(3, GoldenEvent({PartitionId{0}, Offset{0}}));
  events[1].position.offset = Offset{1};
  events[1].event.type = v1::FORGET;
  events[2].position.offset = Offset{2};
  events[2].event.user_id = "other";
  ASSERT_TRUE((*history)->Append({PartitionId{0}, Offset{0}, Offset{3}, 1'600'000'000'600, events}).ok());
  const int64_t silent = 1'600'000'000'601 + kSilentPartitionMs;
  ASSERT_TRUE((*history)->Forget({PartitionId{0}}, silent, [] { return false; }).ok());
  events[2].position.offset = Offset{3};
  events[2].event.type = v1::FORGET;
  ASSERT_TRUE((*history)->Append({PartitionId{0}, Offset{3}, Offset{4}, 1'600'000'000'600, {&events[2], 1}}).ok());
}

TEST(GoldenHistoryTest, FormatVersion2IsRead) {
  if (const char* dir = std::getenv("TRIBUTARY_WRITE_GOLDEN"); dir != nullptr) {
    WriteGolden2(dir);
  }
  const TempDir temp;
  std::filesystem::copy(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/batch_layer/history/golden_2", temp.Join("history"),
                        std::filesystem::copy_options::recursive);
  auto history = History::Open(Options(temp.Join("history")));
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ((*history)->manifest().format_version(), 2);
  ForgottenUsers forgotten((*history)->manifest());
  EXPECT_EQ(forgotten.Until("user"), 1'600'000'000'001);
  EXPECT_EQ(forgotten.Until("other"), ForgottenUsers::kNever);
  const auto report = (*history)->Forget({}, 0, [] { return false; });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->users, 1) << "the FORGET that nobody has looked at yet";
  EXPECT_EQ(report->waiting, 2);
  std::vector<std::string> users;
  ASSERT_TRUE((*history)->Scan({.columns = HistoryColumns::All()}, [&users](const HistoryEvent& row) {
                           users.push_back(row.event.user_id);
                           return absl::OkStatus();
                         }).ok());
  EXPECT_THAT(users, testing::ElementsAre("", "", "other", "other"));
}

}  // namespace
}  // namespace tributary::batch
