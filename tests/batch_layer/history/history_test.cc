#include "batch_layer/history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/history/forgotten_users.h"
#include "common/event/user_digest.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::AllOf;
using testing::Contains;
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
  const auto refused = [&](const std::string& json, const std::string& why) {
    dir_.Write("history/HISTORY.json", json);
    const absl::Status status = TryOpen().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << json;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(why), HasSubstr("HISTORY.json")));
  };
  const auto with = [](const std::string& more) {
    return absl::StrCat(R"({"format_version": 2, "events_topic": "events", "segment_size": 1024, )", more, "}");
  };
  refused("{ not json", "cause=");
  refused(R"({"events_topic": "events", "segment_size": 1024})", "field=format_version");
  refused(with(R"("segments": [{"file": "../LOCK", "end_offset": 4}])"), "field=segments.file");
  refused(with(R"("segments": [{"file": "events/..", "end_offset": 4}])"), "field=segments.file");
  refused(with(R"("segments": [{"begin_offset": 5, "end_offset": 4}])"), "field=segments.end_offset");
  refused(with(R"("segments": [{"end_offset": 4}, {"begin_offset": 3, "end_offset": 5}])"), "field=segments.begin_offset");
  refused(with(R"("segments": [{"end_offset": 4, "forgotten": 1}])"), "field=segments.forgotten");
  refused(with(R"("imports": [{"name": "a"}])"), "field=import_catalogues");
  refused(with(R"("gaps": [{"begin_offset": 5}])"), "field=gaps");
  refused(with(R"("forgotten": [{"user_digest": "YQ=="}])"), "field=forgotten.user_digest");
}

constexpr CompactionLimits kMergeAll = {.file_bytes = 1 << 20, .min_files = 2};
bool Never() { return false; }

class CompactionTest : public HistoryTest {
 protected:
  // Two partitions with a gap, ranges without events and imports, each piece in a file of its own.
  void SomeFiles() {
    Import(77, {2, 5});
    ASSERT_TRUE(Append(0, 0, 2, {At(0, 0, 10), At(0, 1, 20)}, 20).ok());
    ASSERT_TRUE(Append(1, 0, 4, {At(1, 3, 15)}, 15).ok());
    ASSERT_TRUE(Append(0, 2, 4, {}, 25).ok());
    Import(78, {1});
    ASSERT_TRUE(Append(0, 4, 6, {At(0, 5, 30)}, 30).ok());
    ASSERT_TRUE(history_->RecordGap(PartitionId{0}, Offset{10}).ok());
    ASSERT_TRUE(Append(0, 10, 12, {At(0, 11, 40)}, 41).ok());
    ASSERT_TRUE(Append(0, 12, 14, {}, 50).ok());
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(File("events"))) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void ExpectWholeAgain(const std::vector<std::pair<int, int64_t>>& positions) {
    Reopen();
    EXPECT_EQ(Positions(), positions);
    EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{14});
    EXPECT_EQ(history_->End(PartitionId{0}).record_time_unix_ms, 50);
    ASSERT_TRUE(history_->Compact(kMergeAll, &Never).ok());
    EXPECT_EQ(Positions(), positions);
    EXPECT_THAT(Files(), ElementsAre("p1-0-4.parquet", HasSubstr("imports-2-"), HasSubstr("p0-0-12")));
  }
};

TEST_F(CompactionTest, SmallFilesOfAPartitionBecomeOneAndTheScanStaysTheSame) {
  SomeFiles();
  const auto positions = Positions();
  const auto report = history_->Compact(kMergeAll, &Never);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->files_before, 5);
  EXPECT_EQ(report->files_after, 2);
  EXPECT_LT(report->bytes_after, report->bytes_before);
  EXPECT_EQ(Positions(), positions);
  EXPECT_THAT(Positions({.columns = {}, .partition = PartitionId{0}, .min_record_time_unix_ms = 35}),
              ElementsAre(testing::Pair(0, 11)));
  EXPECT_THAT(Files(), ElementsAre("p1-0-4.parquet", "r1-imports-2-1099511627778.parquet", "r2-p0-0-12.parquet"));
  EXPECT_EQ(history_->manifest().segments_size(), 4) << "the two merged ones, partition 1, the end without events";
  const std::string manifest = ReadText(File("HISTORY.json"));
  const auto again = history_->Compact(kMergeAll, &Never);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->files_after, 0);
  EXPECT_EQ(ReadText(File("HISTORY.json")), manifest);
  ExpectWholeAgain(positions);
  ASSERT_TRUE(Append(0, 14, 16, {At(0, 15, 60)}, 60).ok());
  EXPECT_EQ(Positions().size(), positions.size() + 1) << "and the history goes on";
}

TEST_F(CompactionTest, EveryFieldOfAnEventOutlivesIt) {
  HistoryEvent full = At(0, 0, 10);
  full.event.page = "page";
  full.event.category = "category";
  full.event.query = "query";
  full.event.session_id = "session";
  full.event.event_id_hash = 0xfedcba9876543210;
  full.event.value_micros = 5;
  full.event.quantity_micros = 6;
  full.event.anonymous = true;
  full.event.attributes = {{"store", "here"}};
  full.event.experiment_bucket = "b";
  ASSERT_TRUE(Append(0, 0, 1, {full}, 10).ok());
  ASSERT_TRUE(Append(0, 1, 2, {At(0, 1, 11)}, 11).ok());
  ASSERT_TRUE(history_->Compact(kMergeAll, &Never).ok());
  std::vector<HistoryEvent> rows;
  ASSERT_TRUE(history_->Scan({.columns = HistoryColumns::All()}, [&rows](const HistoryEvent& row) {
                        rows.push_back(row);
                        return absl::OkStatus();
                      }).ok());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].event.event_id_hash, full.event.event_id_hash);
  EXPECT_EQ(rows[0].event.attributes, full.event.attributes);
  EXPECT_EQ(rows[0].event.experiment_bucket, "b");
  EXPECT_TRUE(rows[0].event.anonymous);
  EXPECT_EQ(rows[0].record_time_unix_ms, 10);
  EXPECT_EQ(rows[0].event.session_id, "session");
  EXPECT_TRUE(rows[1].event.attributes.empty());
}

// What a process that dies leaves, at each point between two durable steps.
TEST_F(CompactionTest, AKillAtAnyPointLeavesAWholeHistory) {
  SomeFiles();
  const auto positions = Positions();
  history_.reset();
  const std::string before = dir_.Join("before"), after = dir_.Join("after");
  std::filesystem::copy(dir_.Join("history"), before, std::filesystem::copy_options::recursive);
  Reopen();
  ASSERT_TRUE(history_->Compact(kMergeAll, &Never).ok());
  history_.reset();
  std::filesystem::rename(dir_.Join("history"), after);
  const auto restart_from = [&](const std::string& directory) {
    history_.reset();
    std::filesystem::remove_all(dir_.Join("history"));
    std::filesystem::copy(directory, dir_.Join("history"), std::filesystem::copy_options::recursive);
  };
  const auto with_files_of = [&](const std::string& directory) {
    std::filesystem::copy(directory + "/events", dir_.Join("history/events"),
                          std::filesystem::copy_options::skip_existing);
  };
  restart_from(before);
  dir_.Write("history/events/r1-imports-2-1099511627778.parquet.tmp", "half a file");
  ExpectWholeAgain(positions);
  restart_from(before);
  with_files_of(after);     // The new file is there, the manifest does not name it.
  ExpectWholeAgain(positions);
  restart_from(before);
  with_files_of(after);
  dir_.Write("history/HISTORY.json.tmp", "{ half a manifest");
  ExpectWholeAgain(positions);
  restart_from(after);
  with_files_of(before);    // The manifest names the new file, the old ones are there.
  ExpectWholeAgain(positions);
}

TEST_F(CompactionTest, AStopAndAKillBetweenGroupsLeaveWhatIsDone) {
  SomeFiles();
  const auto positions = Positions();
  int asked = 0;
  EXPECT_EQ(history_->Compact(kMergeAll, [&asked] { return ++asked == 2; }).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(history_->manifest().rewrites(), 1);
  EXPECT_EQ(Positions(), positions);
  history_.reset();
  const pid_t child = ::fork();
  if (child == 0) {
    auto opened = TryOpen();
    (void)(*opened)->Compact(kMergeAll, [] { return ::raise(SIGKILL) == 0; });
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  ExpectWholeAgain(positions);
}

TEST_F(CompactionTest, AManifestThatCannotBeWrittenLeavesTheOldFiles) {
  SomeFiles();
  const auto positions = Positions();
  const std::vector<std::string> files = Files();
  std::filesystem::create_directory(File("HISTORY.json.tmp"));
  EXPECT_FALSE(history_->Compact(kMergeAll, &Never).ok());
  EXPECT_EQ(Files(), files);
  EXPECT_EQ(Positions(), positions);
  EXPECT_EQ(history_->manifest().rewrites(), 0);
  std::filesystem::remove(File("HISTORY.json.tmp"));
  ExpectWholeAgain(positions);
}

TEST_F(CompactionTest, ADamagedFileIsNotMerged) {
  SomeFiles();
  std::string bytes = ReadText(File("events/p0-0-2.parquet"));
  bytes[bytes.size() / 2] ^= 1;
  dir_.Write("history/events/p0-0-2.parquet", bytes);
  Reopen();
  const absl::Status status = history_->Compact(kMergeAll, &Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("p0-0-2.parquet"));
  EXPECT_THAT(Files(), Contains("p0-0-2.parquet"));
}

constexpr int64_t kHour = 3'600'000;
const std::set<PartitionId> kBothPartitions = {PartitionId{0}, PartitionId{1}};

class ForgetTest : public CompactionTest {
 protected:
  static HistoryEvent Did(const std::string& user, int partition, int64_t offset, int64_t record_time, int64_t event_time,
                          v1::EventType type = v1::VIEW) {
    HistoryEvent row = At(partition, offset, record_time);
    row.event.type = type;
    row.event.user_id = user;
    row.event.event_time_unix_ms = event_time;
    row.event.session_id = "session";
    row.event.event_id_hash = 7;
    row.event.query = "query";
    row.event.experiment_bucket = "b";
    row.event.value_micros = 5;
    row.event.attributes = {{"ip", "10.0.0.1"}, {"store", "here"}};
    return row;
  }
  // "u" forgets at 50; one event of hers is later, one comes late on another partition.
  void SomebodyForgets() {
    ASSERT_TRUE(Append(0, 0, 3, {Did("u", 0, 0, 10, 10), Did("v", 0, 1, 20, 20), Did("u", 0, 2, 30, 60)}, 30).ok());
    ASSERT_TRUE(Append(0, 3, 5, {Did("u", 0, 3, 50, 50, v1::FORGET), Did("v", 0, 4, 51, 51)}, 51).ok());
    ASSERT_TRUE(Append(1, 0, 2, {Did("u", 1, 1, 55, 45)}, 55).ok());
  }
  ForgetReport Forget(int64_t now = 0) {
    const auto report = history_->Forget(kBothPartitions, now, &Never);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.value_or(ForgetReport());
  }
  // As "user@partition:offset".
  std::vector<std::string> Users() {
    std::vector<std::string> users;
    EXPECT_TRUE(history_->Scan({.columns = HistoryColumns::All()}, [&users](const HistoryEvent& row) {
                          users.push_back(row.event.user_id + "@" + std::to_string(Value(row.position.partition)) + ":" +
                                          std::to_string(Value(row.position.offset)));
                          return absl::OkStatus();
                        }).ok());
    return users;
  }
  const std::vector<std::string> without_her_ = {"@0:0", "v@0:1", "u@0:2", "@0:3", "v@0:4", "@1:1"};
};

TEST_F(ForgetTest, ThePersonStaysWhileIdsMatterAndThenOnlyCountsAreLeft) {
  SomebodyForgets();
  const std::vector<std::string> all = Users();
  EXPECT_EQ(history_->manifest().format_version(), 1);
  const ForgetReport first = Forget();
  EXPECT_EQ(first.users, 1);
  EXPECT_EQ(first.events, 0);
  EXPECT_EQ(first.waiting, 3);
  EXPECT_EQ(Users(), all) << "a repeat of 24 h must still be known for one";
  ASSERT_EQ(history_->manifest().forgotten_size(), 1);
  EXPECT_EQ(history_->manifest().format_version(), 2) << "older builds do not know events without user id";
  EXPECT_EQ(history_->manifest().forgotten(0).until_unix_ms(), 50);
  EXPECT_EQ(history_->manifest().forgotten(0).offset(), 3);
  EXPECT_EQ(history_->manifest().forgotten(0).user_digest(), UserDigest("u"));
  // Partition 0 goes on; event 3 is 24 h old, not older.
  ASSERT_TRUE(Append(0, 5, 6, {}, 50 + 24 * kHour).ok());
  EXPECT_EQ(Forget().events, 1);
  EXPECT_THAT(Users(), ElementsAre("@0:0", "v@0:1", "u@0:2", "u@0:3", "v@0:4", "u@1:1"));
  ASSERT_TRUE(Append(0, 6, 7, {}, 51 + 24 * kHour).ok());
  ASSERT_TRUE(Append(1, 2, 3, {}, 56 + 24 * kHour).ok());
  const ForgetReport last = Forget();
  EXPECT_EQ(last.events, 2);
  EXPECT_EQ(last.waiting, 0);
  EXPECT_EQ(last.users, 0);
  Reopen();
  EXPECT_EQ(Users(), without_her_);
  const std::string manifest = ReadText(File("HISTORY.json"));
  EXPECT_EQ(Forget().files, 0);
  EXPECT_EQ(ReadText(File("HISTORY.json")), manifest);
}

TEST_F(ForgetTest, ASilentPartitionLetsGoAfterAWeek) {
  SomebodyForgets();
  EXPECT_EQ(Forget(55 + kSilentPartitionMs).waiting, 1) << "partition 1 is silent for a week, not longer";
  const auto unread = history_->Forget({PartitionId{0}}, 56 + kSilentPartitionMs, &Never);
  ASSERT_TRUE(unread.ok());
  EXPECT_EQ(unread->waiting, 1) << "nobody knows how soon the next record of partition 1 followed";
  EXPECT_EQ(Forget(56 + kSilentPartitionMs).waiting, 0);
  EXPECT_EQ(Users(), without_her_);
}

TEST_F(ForgetTest, WhatCountsRestOnStaysAndNothingElse) {
  SomebodyForgets();
  Forget(56 + kSilentPartitionMs);
  bool seen = false;
  ASSERT_TRUE(history_->Scan({.columns = HistoryColumns::All()}, [&seen](const HistoryEvent& row) {
                        if (row.position == EventPosition{PartitionId{1}, Offset{1}}) {
                          seen = true;
                          EXPECT_EQ(row.record_time_unix_ms, 55);
                          EXPECT_EQ(row.event.event_time_unix_ms, 45);
                          EXPECT_EQ(row.event.type, v1::VIEW);
                          EXPECT_EQ(row.event.item_id, "i");
                          EXPECT_EQ(row.event.value_micros, 5);
                          EXPECT_THAT(row.event.attributes, ElementsAre(testing::Pair("store", "here")));
                          EXPECT_EQ(row.event.session_id, "");
                          EXPECT_EQ(row.event.event_id_hash, 0u);
                          EXPECT_EQ(row.event.query, "");
                          EXPECT_EQ(row.event.experiment_bucket, "b");
                        }
                        return absl::OkStatus();
                      }).ok());
  EXPECT_TRUE(seen);
}

TEST_F(ForgetTest, ImportsOfWhatIsOlderComeInWithoutThePersonBeforeAndAfter) {
  const auto import = [this](uint64_t digest) {
    auto begun = history_->BeginImport(digest, "file");
    const int64_t first = (*begun)->ordinal() << kImportLineBits;
    EXPECT_TRUE((*begun)->Append({Did("u", -1, first + 1, 40, 40), Did("u", -1, first + 2, 51, 51), Did("v", -1, first + 3, 1, 1)}).ok());
    const int64_t forgotten = (*begun)->forgotten();
    EXPECT_TRUE((*begun)->Commit(0, {}).ok());
    return forgotten;
  };
  EXPECT_EQ(import(77), 0);
  SomebodyForgets();
  const ForgetReport report = Forget();
  EXPECT_EQ(report.events, 1) << "of the import: files know repeats as a whole";
  EXPECT_EQ(import(78), 1);
  const int64_t second = int64_t{1} << kImportLineBits;
  EXPECT_THAT(Users(), testing::IsSupersetOf(std::vector<std::string>{"@-1:1", "u@-1:2", "v@-1:3", absl::StrCat("@-1:", second + 1),
                                              absl::StrCat("u@-1:", second + 2), absl::StrCat("v@-1:", second + 3)}));
  EXPECT_EQ(Forget().events, 0);
  EXPECT_EQ(history_->manifest().imports(1).accepted(), 3);
}

TEST_F(ForgetTest, WhatComesLaterIsForgottenTooAndALaterForgetReachesFurther) {
  SomebodyForgets();
  Forget(56 + kSilentPartitionMs);
  ASSERT_TRUE(history_->Compact(kMergeAll, &Never).ok());
  EXPECT_EQ(Users(), without_her_);
  // Two nights later: something old arrives, and she forgets again.
  ASSERT_TRUE(Append(0, 5, 8, {Did("u", 0, 5, 60, 49), Did("u", 0, 6, 61, 100, v1::FORGET), Did("u", 0, 7, 62, 101)}, 62).ok());
  EXPECT_EQ(Forget(63 + kSilentPartitionMs).users, 1);
  EXPECT_THAT(Users(), ElementsAre("@0:0", "v@0:1", "@0:2", "@0:3", "v@0:4", "@0:5", "@0:6", "u@0:7", "@1:1"));
  EXPECT_EQ(history_->manifest().forgotten_size(), 2);
  // A FORGET that says less adds nothing.
  ASSERT_TRUE(Append(0, 8, 9, {Did("u", 0, 8, 70, 90, v1::FORGET)}, 70).ok());
  EXPECT_EQ(Forget(71 + kSilentPartitionMs).users, 0);
  EXPECT_EQ(history_->manifest().forgotten_size(), 2);
  EXPECT_EQ(Users().back(), "@1:1");
  EXPECT_THAT(Users(), Contains("@0:8"));
}

TEST_F(ForgetTest, AKillAtAnyPointIsMadeGoodByTheNextCall) {
  SomebodyForgets();
  const int64_t now = 56 + kSilentPartitionMs;
  // Before the first file, when the list is durable; then before the second one.
  for (int asked = 1; asked <= 2; ++asked) {
    history_.reset();
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = TryOpen();
      (void)(*opened)->Forget(kBothPartitions, now, [left = asked]() mutable { return --left == 0 && ::raise(SIGKILL) == 0; });
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    Reopen();
    EXPECT_EQ(history_->manifest().forgotten_size(), 1);
    EXPECT_EQ(history_->manifest().rewrites(), asked - 1);
    EXPECT_EQ(Positions().size(), without_her_.size());
  }
  // The new file is whole, but the manifest does not name it yet.
  dir_.Write("history/events/r3-p1-0-2.parquet", "whole, but not in the manifest");
  Reopen();
  Forget(now);
  EXPECT_EQ(Users(), without_her_);
}

TEST_F(ForgetTest, AFullDiskLeavesTheFileThatItCouldNotReplace) {
  SomebodyForgets();
  const std::vector<std::string> all = Users();
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 3000;      // The manifest fits.
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = history_->Forget(kBothPartitions, 56 + kSilentPartitionMs, &Never).status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(Users(), all);
  Forget(56 + kSilentPartitionMs);
  EXPECT_EQ(Users(), without_her_);
}

constexpr absl::Duration kTenDays = absl::Hours(240);

class RemoveExpiredTest : public CompactionTest {
 protected:
  static constexpr int64_t kDay = 24 * kHour;

  // Two files and an import are older than ten days.
  RemoveExpiredTest() {
    auto import = history_->BeginImport(77, "old");
    EXPECT_TRUE((*import)->Append({At(-1, 2, 5 * kDay)}).ok());
    EXPECT_TRUE((*import)->Append({At(-1, 3, 7 * kDay)}).ok());
    EXPECT_TRUE((*import)->Commit(0, {}).ok());
    EXPECT_TRUE(Append(0, 0, 5, {At(0, 0, 80 * kDay), At(0, 4, 81 * kDay)}, 82 * kDay).ok());
    EXPECT_TRUE(Append(1, 0, 4, {At(1, 3, 99 * kDay)}, 99 * kDay).ok());
    EXPECT_TRUE(Append(0, 5, 2048, {}, 83 * kDay).ok());
    EXPECT_TRUE(Append(0, 2048, 3072, {At(0, 2050, 84 * kDay)}, 85 * kDay).ok());
    EXPECT_TRUE(Append(0, 3072, 3080, {At(0, 3075, 98 * kDay)}, 100 * kDay).ok());
  }
  ExpiryReport RemoveExpired() {
    const auto report = history_->RemoveExpired(kTenDays, absl::FromUnixMillis(100 * kDay));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.value_or(ExpiryReport());
  }
  void ExpectTheOldGone() {
    EXPECT_THAT(Positions(), ElementsAre(testing::Pair(0, 3075), testing::Pair(1, 3)));
    EXPECT_THAT(Files(), ElementsAre("p0-3072-3080.parquet", "p1-0-4.parquet"));
    EXPECT_EQ(history_->End(PartitionId{0}).offset, Offset{3080});
    EXPECT_EQ(history_->End(PartitionId{0}).record_time_unix_ms, 100 * kDay);
    EXPECT_TRUE(history_->HasImport(77)) << "nor is it taken again";
  }
};

TEST_F(RemoveExpiredTest, OldFilesGoAndTheirRangesStay) {
  const auto report = RemoveExpired();
  EXPECT_EQ(report.files, 3);
  EXPECT_EQ(report.events, 5);
  EXPECT_GT(report.bytes, 0);
  ExpectTheOldGone();
  EXPECT_EQ(history_->manifest().segments_size(), 4) << "the import's; what went of partition 0, in one; two files";
  Reopen();
  ExpectTheOldGone();
  EXPECT_EQ(RemoveExpired().files, 0);
  ASSERT_TRUE(Append(0, 3080, 3082, {At(0, 3081, 120 * kDay)}, 120 * kDay).ok()) << "and the history goes on";
  ASSERT_TRUE(history_->Compact(kMergeAll, &Never).ok());
  EXPECT_EQ(Positions().size(), 3u);
}

TEST_F(RemoveExpiredTest, AKillBeforeTheFilesAreDeletedLeavesNoneOfThem) {
  const std::string before = dir_.Join("before");
  std::filesystem::copy(File("events"), before);
  RemoveExpired();
  history_.reset();
  std::filesystem::copy(before, File("events"), std::filesystem::copy_options::skip_existing);
  Reopen();
  ExpectTheOldGone();
}

TEST_F(RemoveExpiredTest, AManifestThatCannotBeWrittenLeavesEverything) {
  const auto positions = Positions();
  std::filesystem::create_directory(File("HISTORY.json.tmp"));
  EXPECT_FALSE(history_->RemoveExpired(kTenDays, absl::FromUnixMillis(100 * kDay)).ok());
  EXPECT_EQ(Positions(), positions);
  std::filesystem::remove(File("HISTORY.json.tmp"));
  RemoveExpired();
  ExpectTheOldGone();
}

TEST_F(RemoveExpiredTest, TheTimeOfAnImportByAnOlderBuildIsLookedUp) {
  history_.reset();
  std::string json = ReadText(File("HISTORY.json"));
  const std::string time = absl::StrCat("\"record_time_unix_ms\": \"", 7 * kDay, "\"");
  ASSERT_NE(json.find(time), std::string::npos) << json;
  json.replace(json.find(time), time.size(), "\"record_time_unix_ms\": \"0\"");
  dir_.Write("history/HISTORY.json", json);
  Reopen();
  const auto nothing = history_->RemoveExpired(100 * kTenDays, absl::FromUnixMillis(100 * kDay));
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_EQ(nothing->files, 0);
  EXPECT_EQ(history_->manifest().segments(0).record_time_unix_ms(), 7 * kDay) << "and need not be once more";
  RemoveExpired();
  ExpectTheOldGone();
}

v1::HistoryManifest WithFiles(const std::vector<std::pair<int, int64_t>>& partitions_and_sizes) {
  v1::HistoryManifest manifest;
  int64_t offset = 0;
  for (const auto& [partition, bytes] : partitions_and_sizes) {
    v1::HistorySegment& segment = *manifest.add_segments();
    segment.set_partition(partition);
    segment.set_begin_offset(offset);
    segment.set_end_offset(++offset);
    segment.set_size_bytes(bytes);
    if (bytes > 0) segment.set_file("f");
  }
  return manifest;
}

TEST(PlanCompactionTest, GroupsAreOfOnePartitionUpToTheSizeAndAtLeastSoMany) {
  const CompactionLimits limits = {.file_bytes = 100, .min_files = 3};
  EXPECT_THAT(PlanCompaction(WithFiles({}), limits), IsEmpty());
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 10}, {0, 10}}), limits), IsEmpty());
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 10}, {0, 10}, {0, 10}}), limits), ElementsAre(ElementsAre(0, 1, 2)));
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 10}, {1, 10}, {0, 10}, {1, 10}, {0, 10}}), limits),
              ElementsAre(ElementsAre(0, 2, 4)));
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 10}, {0, 10}, {0, 50}, {0, 10}, {0, 10}}), limits), IsEmpty())
      << "a file of half the size stays, and parts what lies before it from what comes after";
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 49}, {0, 49}, {0, 49}, {0, 49}, {0, 49}}), limits),
              ElementsAre(ElementsAre(0, 1, 2)));
  EXPECT_THAT(PlanCompaction(WithFiles({{0, 0}, {0, 9}, {0, 0}, {0, 9}, {0, 9}, {0, 0}}), limits),
              ElementsAre(ElementsAre(0, 1, 2, 3, 4)))
      << "ranges without events go in, but for those at the end, which still grow";
}

TEST(PlanCompactionTest, FilesOfDifferentSpansStayApart) {
  v1::HistoryManifest manifest = WithFiles({{0, 10}, {0, 10}, {0, 10}, {0, 10}, {0, 10}, {0, 10}});
  int64_t time = 99;
  for (v1::HistorySegment& segment : *manifest.mutable_segments()) {
    segment.set_record_time_unix_ms(++time);
  }
  EXPECT_THAT(PlanCompaction(manifest, {.file_bytes = 1000, .min_files = 2, .span = absl::Milliseconds(4)}),
              ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(4, 5)));
  EXPECT_THAT(PlanCompaction(manifest, {.file_bytes = 1000, .min_files = 3, .span = absl::Milliseconds(4)}),
              ElementsAre(ElementsAre(0, 1, 2, 3)));
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
