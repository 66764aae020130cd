#include "batch_layer/history/parquet_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

HistoryEvent FullEvent() {
  HistoryEvent row;
  row.position = {PartitionId{3}, Offset{1'234'567'890'123}};
  row.record_time_unix_ms = 1'700'000'000'123;
  row.event.type = v1::PURCHASE;
  row.event.user_id = "üser";
  row.event.event_time_unix_ms = 1'600'000'000'001;
  row.event.item_id = "item";
  row.event.page = "page";
  row.event.category = "category";
  row.event.query = "query";
  row.event.session_id = "session";
  row.event.event_id_hash = 0xfedcba9876543210;
  row.event.value_micros = 9'000'000'000'000'000'000;
  row.event.quantity_micros = 2'500'000;
  row.event.anonymous = true;
  row.event.attributes = {{"device", "phone"}, {"store", "Österreich"}};
  row.event.experiment_bucket = "b";
  return row;
}

std::vector<HistoryEvent> ReadAll(const std::string& path, const HistoryColumns& columns) {
  std::vector<HistoryEvent> rows;
  const absl::Status status = ReadParquetFile(path, columns, [&rows](const HistoryEvent& row) {
    rows.push_back(row);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

TEST(ParquetFileTest, EveryFieldComesBack) {
  const TempDir dir;
  const HistoryEvent full = FullEvent();
  HistoryEvent bare;
  bare.position = {PartitionId{3}, Offset{1'234'567'890'124}};
  bare.event.type = v1::ACCOUNT_CREATED;
  bare.event.user_id = "u";
  ASSERT_TRUE(WriteParquetFile(dir.Join("f"), {full, bare}).ok());
  const std::vector<HistoryEvent> rows = ReadAll(dir.Join("f"), HistoryColumns::All());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].position, full.position);
  EXPECT_EQ(rows[0].record_time_unix_ms, full.record_time_unix_ms);
  EXPECT_EQ(rows[0].event.type, full.event.type);
  EXPECT_EQ(rows[0].event.user_id, full.event.user_id);
  EXPECT_EQ(rows[0].event.event_time_unix_ms, full.event.event_time_unix_ms);
  EXPECT_EQ(rows[0].event.item_id, full.event.item_id);
  EXPECT_EQ(rows[0].event.page, full.event.page);
  EXPECT_EQ(rows[0].event.category, full.event.category);
  EXPECT_EQ(rows[0].event.query, full.event.query);
  EXPECT_EQ(rows[0].event.session_id, full.event.session_id);
  EXPECT_EQ(rows[0].event.event_id_hash, full.event.event_id_hash);
  EXPECT_EQ(rows[0].event.value_micros, full.event.value_micros);
  EXPECT_EQ(rows[0].event.quantity_micros, full.event.quantity_micros);
  EXPECT_TRUE(rows[0].event.anonymous);
  EXPECT_EQ(rows[0].event.attributes, full.event.attributes);
  EXPECT_EQ(rows[0].event.experiment_bucket, full.event.experiment_bucket);
  EXPECT_EQ(rows[1].event.user_id, "u");
  EXPECT_EQ(rows[1].event.item_id, "");
  EXPECT_TRUE(rows[1].event.attributes.empty());
  EXPECT_FALSE(rows[1].event.anonymous);
}

TEST(ParquetFileTest, ColumnsNotAskedForStayEmpty) {
  const TempDir dir;
  ASSERT_TRUE(WriteParquetFile(dir.Join("f"), {FullEvent()}).ok());
  HistoryColumns columns;
  columns.user_id = true;
  columns.experiment_bucket = true;
  const std::vector<HistoryEvent> rows = ReadAll(dir.Join("f"), columns);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].event.user_id, "üser");
  EXPECT_EQ(rows[0].event.experiment_bucket, "b");
  EXPECT_EQ(rows[0].event.item_id, "");
  EXPECT_EQ(rows[0].event.value_micros, 0);
  EXPECT_TRUE(rows[0].event.attributes.empty());
  EXPECT_EQ(rows[0].event.type, v1::PURCHASE);
}

TEST(ParquetFileTest, EqualEventsGiveEqualBytes) {
  const TempDir dir;
  ASSERT_TRUE(WriteParquetFile(dir.Join("a"), {FullEvent()}).ok());
  ASSERT_TRUE(WriteParquetFile(dir.Join("b"), {FullEvent()}).ok());
  EXPECT_EQ(ReadText(dir.Join("a")), ReadText(dir.Join("b")));
}

TEST(ParquetFileTest, ManyRowGroupsKeepTheirOrder) {
  const TempDir dir;
  std::vector<HistoryEvent> rows(600'000);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].position = {PartitionId{0}, Offset{static_cast<int64_t>(i * 2)}};
    rows[i].event.type = v1::VIEW;
    rows[i].event.user_id = std::to_string(i % 1000);
  }
  ASSERT_TRUE(WriteParquetFile(dir.Join("f"), rows).ok());
  int64_t next = 0;
  HistoryColumns columns;
  columns.user_id = true;
  ASSERT_TRUE(ReadParquetFile(dir.Join("f"), columns, [&next](const HistoryEvent& row) {
                EXPECT_EQ(Value(row.position.offset), next * 2);
                EXPECT_EQ(row.event.user_id, std::to_string(next % 1000));
                ++next;
                return testing::Test::HasFailure() ? absl::InternalError("wrong row") : absl::OkStatus();
              }).ok());
  EXPECT_EQ(next, 600'000);
}

TEST(ParquetFileTest, AFileThatIsNoParquetIsDataLoss) {
  const TempDir dir;
  const std::string path = dir.Write("f", "PAR1 but not really");
  const absl::Status status = ReadParquetFile(path, {}, [](const HistoryEvent&) { return absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), testing::HasSubstr(path));
}

TEST(ParquetFileTest, TheVisitorsErrorStopsTheScan) {
  const TempDir dir;
  ASSERT_TRUE(WriteParquetFile(dir.Join("f"), {FullEvent(), FullEvent()}).ok());
  int visited = 0;
  const absl::Status status = ReadParquetFile(dir.Join("f"), {}, [&visited](const HistoryEvent&) {
    ++visited;
    return absl::CancelledError("enough");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(visited, 1);
}

}  // namespace
}  // namespace tributary::batch
