#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "batch_layer/export/export_lists.h"
#include "batch_layer/export/ranked_lists_file.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;

std::vector<std::string> Rows(const std::string& path) {
  std::vector<std::string> rows;
  const absl::Status status = ReadRankedLists(path, [&rows](const RankedItem& row) {
    rows.push_back(absl::StrFormat("%s %d %s %g", row.key, row.rank, row.item, row.score));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

class ExportTest : public testing::Test {
 protected:
  std::unique_ptr<SnapshotReader> Snapshot(int more_users = 0) {
    auto writer = SnapshotWriter::Create(dir_.Join("snapshots"), Generation{1});
    EXPECT_TRUE(writer.ok()) << writer.status();
    std::vector<v1::Item> items(3);
    items[0].set_item_id("cup");
    items[1].set_item_id("plate");
    items[2].set_item_id("täa");
    EXPECT_TRUE((*writer)->WriteItems(items).ok());
    EXPECT_TRUE((*writer)->WriteNeighbours({{{ItemNumber{2}, 0.5f}, {ItemNumber{1}, 0.25f}}, {}, {{ItemNumber{0}, 1.0f}}}).ok());
    EXPECT_TRUE((*writer)->PutForgottenUser("a digest of them", 5).ok());
    v1::SnapshotUser user;
    user.mutable_list()->add_items(1);
    user.mutable_list()->add_scores(2.5f);
    user.mutable_list()->add_items(2);
    user.mutable_list()->add_scores(1.5f);
    EXPECT_TRUE((*writer)->PutUser("anna", user).ok());
    v1::SnapshotUser no_list;
    no_list.mutable_profile()->set_forgotten_until_unix_ms(1);
    EXPECT_TRUE((*writer)->PutUser("berta", no_list).ok());
    for (int i = 0; i < more_users; ++i) {
      EXPECT_TRUE((*writer)->PutUser(absl::StrFormat("user %08d", i), user).ok());
    }
    EXPECT_TRUE((*writer)->Finish({}).ok());
    auto reader = SnapshotReader::Open(dir_.Join("snapshots"), Generation{1}, SnapshotReader::Verify::kManifest, 1 << 20);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }
  std::string Out(absl::string_view name) const { return absl::StrCat(dir_.Join("out/"), name); }

  const TempDir dir_;
};

TEST_F(ExportTest, ListsAndNeighboursComeBackByIdRankAndScore) {
  const auto report = ExportLists(*Snapshot(), dir_.Join("out"));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->users, 1);
  EXPECT_EQ(report->user_rows, 2);
  EXPECT_EQ(report->items, 2);
  EXPECT_EQ(report->neighbour_rows, 3);
  EXPECT_THAT(Rows(Out(kUserListsFile)), ElementsAre("anna 1 plate 2.5", "anna 2 täa 1.5"));
  EXPECT_THAT(Rows(Out(kNeighboursFile)), ElementsAre("cup 1 täa 0.5", "cup 2 plate 0.25", "täa 1 cup 1"));
}

TEST_F(ExportTest, MoreThanOneRowGroupKeepsItsOrder) {
  ASSERT_TRUE(ExportLists(*Snapshot(600'000), dir_.Join("out")).ok());
  int64_t row = -2;
  ASSERT_TRUE(ReadRankedLists(Out(kUserListsFile), [&row](const RankedItem& item) {
                if (row >= 0 && item.key != absl::StrFormat("user %08d", row / 2)) {
                  return absl::InternalError(absl::StrCat("row ", row, " has ", item.key));
                }
                ++row;
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(row, 1'200'000);
}

TEST_F(ExportTest, AFullDiskLeavesTheFilesOfTheExportBefore) {
  const auto snapshot = Snapshot(20'000);
  std::filesystem::create_directories(dir_.Join("out"));
  dir_.Write(absl::StrCat("out/", kUserListsFile), "of before");
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = ExportLists(*snapshot, dir_.Join("out")).status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReadText(Out(kUserListsFile)), "of before");
  EXPECT_FALSE(std::filesystem::exists(Out(absl::StrCat(kUserListsFile, ".tmp"))));
}

TEST_F(ExportTest, WhatIsNoExportIsDataLoss) {
  const auto ignore = [](const RankedItem&) { return absl::OkStatus(); };
  EXPECT_TRUE(absl::IsDataLoss(ReadRankedLists(dir_.Write("f", "PAR1 but not really"), ignore)));
}

}  // namespace
}  // namespace tributary::batch
