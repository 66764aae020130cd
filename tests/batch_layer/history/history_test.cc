#include "batch_layer/history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

HistoryEvent At(int partition, int64_t offset, int64_t record_time = 0) {
  HistoryEvent row;
  row.position = {PartitionId{partition}, Offset{offset}};
  row.record_time_unix_ms = record_time;
  row.event.type = v1::VIEW;
  row.event.user_id = "u";
  row.event.item_id = "i";
  return row;
}

HistoryEvent Imported(int64_t ordinal, int64_t line) { return At(-1, (ordinal << kImportLineBits) | line); }

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() { Reopen(); }

  void Reopen() {
    history_.reset();
    auto opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened.status();
    history_ = *std::move(opened);
  }
  absl::StatusOr<std::unique_ptr<History>> TryOpen(const std::string& topic = "events", int64_t segment_size = 1024) {
    return History::Open({.dir = dir_.Join("history"), .events_topic = topic, .segment_size = segment_size});
  }
  std::string File(const std::string& name) const { return dir_.Join("history/" + name); }

  absl::Status Append(int partition, int64_t begin, int64_t end, const std::vector<HistoryEvent>& events,
                      int64_t record_time = 0) {
    return history_->Append({PartitionId{partition}, Offset{begin}, Offset{end}, record_time, events});
  }
  void Import(uint64_t digest, const std::vector<int64_t>& lines) {
    auto import = history_->BeginImport(digest, "file");
    ASSERT_TRUE(import.ok()) << import.status();
    for (const int64_t line : lines) {
      ASSERT_TRUE((*import)->Append({Imported((*import)->ordinal(), line)}).ok());
    }
    ASSERT_TRUE((*import)->Commit(0, {}).ok());
  }

  std::vector<std::pair<int, int64_t>> Positions(const HistoryScan& scan = {}) {
    std::vector<std::pair<int, int64_t>> positions;
    const absl::Status status = history_->Scan(scan, [&positions](const HistoryEvent& row) {
      positions.emplace_back(Value(row.position.partition), Value(row.position.offset));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return positions;
  }

  const TempDir dir_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, AnEmptyHistoryEndsAtZeroEverywhere) {
  EXPECT_EQ(history_->End(PartitionId{5}).offset, Offset{0});
  EXPECT_THAT(Positions(), IsEmpty());
}

TEST_F(HistoryTest, ScanGoesByImportThenPartitionThenOffsetWhateverTheOrderOfAppending) {
  ASSERT_TRUE(Append(1, 0, 10, {At(1, 3), At(1, 9)}).ok());
  Import(77, {2, 5});
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 0)}).ok());
  ASSERT_TRUE(Append(1, 10, 12, {At(1, 11)}).ok());
  Import(78, {2});
  Reopen();
  const int64_t second = int64_t{1} << kImportLineBits;
  EXPECT_THAT(Positions(), ElementsAre(testing::Pair(-1, 2), testing::Pair(-1, 5), testing::Pair(-1, second + 2),
                                       testing::Pair(0, 0), testing::Pair(1, 3), testing::Pair(1, 9), testing::Pair(1, 11)));
  EXPECT_EQ(history_->End(PartitionId{1}).offset, Offset{12});
}

TEST_F(HistoryTest, ARangeThatIsThereAlreadyChangesNothing) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  ASSERT_TRUE(Append(0, 0, 3, {At(0, 1)}).ok());
  EXPECT_THAT(Positions(), ElementsAre(testing::Pair(0, 1)));
}

TEST_F(HistoryTest, ARangeMustFollowTheHistory) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}, 100).ok());
  EXPECT_EQ(Append(0, 5, 6, {}, 100).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Append(0, 2, 6, {}, 100).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Append(0, 4, 6, {At(0, 6)}, 100).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Append(0, 4, 6, {At(0, 5), At(0, 4)}, 100).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Append(0, 4, 6, {At(1, 5)}, 100).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Append(0, 4, 6, {At(0, 5)}, 99).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Positions(), ElementsAre(testing::Pair(0, 1)));
}

TEST_F(HistoryTest, RangesWithoutEventsMoveTheEndAndGrowOneEntry) {
  ASSERT_TRUE(Append(0, 0, 4, {}, 10).ok());
  ASSERT_TRUE(Append(0, 4, 8, {}, 20).ok());
  Reopen();
  EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{8});
  EXPECT_EQ(history_->End(PartitionId{0}).record_time_unix_ms, 20);
  EXPECT_EQ(history_->manifest().segments_size(), 1);
}

TEST_F(HistoryTest, AGapMovesTheEndAndIsRemembered) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}, 10).ok());
  ASSERT_TRUE(history_->RecordGap(PartitionId{0}, Offset{100}).ok());
  ASSERT_TRUE(Append(0, 100, 101, {At(0, 100)}, 11).ok());
  Reopen();
  EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{101});
  ASSERT_EQ(history_->manifest().gaps_size(), 1);
  EXPECT_EQ(history_->manifest().gaps(0).begin_offset(), 4);
  EXPECT_EQ(history_->manifest().gaps(0).end_offset(), 100);
}

TEST_F(HistoryTest, TheTailLeavesOutOlderRecordTimes) {
  ASSERT_TRUE(Append(0, 0, 2, {At(0, 0, 10), At(0, 1, 20)}, 20).ok());
  ASSERT_TRUE(Append(0, 2, 4, {At(0, 2, 30), At(0, 3, 50)}, 50).ok());
  ASSERT_TRUE(Append(1, 0, 1, {At(1, 0, 60)}, 60).ok());
  EXPECT_THAT(Positions({.columns = {}, .partition = PartitionId{0}, .min_record_time_unix_ms = 31}), ElementsAre(testing::Pair(0, 3)));
}

TEST_F(HistoryTest, TheSameFileIsNotTakenTwice) {
  Import(77, {2});
  Reopen();
  EXPECT_TRUE(history_->HasImport(77));
  EXPECT_EQ(history_->BeginImport(77, "again").status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(HistoryTest, AnImportIsInvisibleUntilItsCommitAndLeavesNothingWithoutIt) {
  {
    auto import = history_->BeginImport(77, "file");
    ASSERT_TRUE(import.ok());
    ASSERT_TRUE((*import)->Append({Imported(0, 2)}).ok());
    EXPECT_THAT(Positions(), IsEmpty());
  }
  EXPECT_FALSE(history_->HasImport(77));
  EXPECT_TRUE(std::filesystem::is_empty(File("events")));
}

TEST_F(HistoryTest, ItemsOfAnImportComeBack) {
  auto import = history_->BeginImport(77, "file");
  ASSERT_TRUE(import.ok());
  v1::Item item;
  item.set_item_id("i");
  item.set_title("Title");
  ASSERT_TRUE((*import)->Commit(3, {item}).ok());
  Reopen();
  const auto items = history_->ReadImportItems(0);
  ASSERT_TRUE(items.ok()) << items.status();
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].title(), "Title");
  EXPECT_EQ(history_->manifest().imports(0).rejected(), 3);
}

TEST_F(HistoryTest, EqualCataloguesAreKeptOnceAndComeBack) {
  v1::CatalogueEntry entry;
  entry.mutable_rule()->set_rule_id("r");
  const auto first = history_->PutCatalogue({entry});
  const auto second = history_->PutCatalogue({entry});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  const auto entries = history_->ReadCatalogue(*first);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].rule().rule_id(), "r");
}

TEST_F(HistoryTest, ADamagedCatalogueIsDataLoss) {
  v1::CatalogueEntry entry;
  entry.mutable_rule()->set_rule_id("a rule with a long enough name");
  const auto file = history_->PutCatalogue({entry});
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(File(*file), std::filesystem::file_size(File(*file)) / 2);
  EXPECT_EQ(history_->ReadCatalogue(*file).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(HistoryTest, LeftoversOfADeadProcessGo) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  history_.reset();
  dir_.Write("history/events/p0-4-8.parquet.tmp", "half");
  dir_.Write("history/events/p0-4-8.parquet", "whole, but not in the manifest");
  dir_.Write("history/HISTORY.json.tmp", "{");
  Reopen();
  EXPECT_FALSE(std::filesystem::exists(File("events/p0-4-8.parquet.tmp")));
  EXPECT_FALSE(std::filesystem::exists(File("events/p0-4-8.parquet")));
  EXPECT_FALSE(std::filesystem::exists(File("HISTORY.json.tmp")));
  EXPECT_THAT(Positions(), ElementsAre(testing::Pair(0, 1)));
}

TEST_F(HistoryTest, AMissingOrShortFileIsNamed) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  history_.reset();
  std::filesystem::resize_file(File("events/p0-0-4.parquet"), 10);
  const absl::Status status = TryOpen().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("p0-0-4.parquet"));
}

TEST_F(HistoryTest, AFlippedByteIsFoundByTheScan) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  std::string bytes = ReadText(File("events/p0-0-4.parquet"));
  bytes[bytes.size() / 2] ^= 1;
  dir_.Write("history/events/p0-0-4.parquet", bytes);
  Reopen();
  const absl::Status status = history_->Scan({}, [](const HistoryEvent&) { return absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("p0-0-4.parquet"));
}

TEST_F(HistoryTest, OneProcessAtATime) {
  const absl::Status status = TryOpen().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(status.message(), HasSubstr("pid="));
}

TEST_F(HistoryTest, AnotherTopicSegmentSizeOrNewerFormatIsRefused) {
  ASSERT_TRUE(Append(0, 0, 4, {}).ok());
  history_.reset();
  EXPECT_EQ(TryOpen("other").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(TryOpen("events", 2048).status().code(), absl::StatusCode::kFailedPrecondition);
  dir_.Write("history/HISTORY.json", R"({"format_version": 99, "something_new": 1})");
  const absl::Status newer = TryOpen().status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(newer.message(), HasSubstr("newer format"));
}

TEST_F(HistoryTest, ADamagedManifestIsDataLoss) {
  history_.reset();
  dir_.Write("history/HISTORY.json", "{ not json");
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss);
}

// A limit on file sizes gives the errors that a full disk gives.
TEST_F(HistoryTest, AFullDiskLeavesTheHistoryAsItWas) {
  ASSERT_TRUE(Append(0, 0, 4, {At(0, 1)}).ok());
  std::vector<HistoryEvent> events;
  for (int i = 4; i < 20'000; ++i) {
    events.push_back(At(0, i));
    events.back().event.user_id = std::to_string(i * 7919);
  }
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = Append(0, 4, 20'000, events);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{4});
  EXPECT_FALSE(std::filesystem::exists(File("events/p0-4-20000.parquet.tmp")));
  ASSERT_TRUE(Append(0, 4, 20'000, events).ok());
  Reopen();
  EXPECT_EQ(Positions().size(), 1 + events.size());
}

}  // namespace
}  // namespace tributary::batch
