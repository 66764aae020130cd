#include "batch_layer/gate/judge_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "batch_layer/gate/measure.h"
#include "common/config/config.h"
#include "common/snapshot/gate_verdict.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::HasSubstr;

// Items i0 .. i(count - 1) in the order that `shift` turns, and users whose lists are these items in order.
struct Shop {
  int users = 300;
  int items = 20;
  int shift = 0;
  int first_item = 0;
  int unlisted = 0;      // The first of the users: without a list.
  int empty = 0;         // The next of them: with an empty one.
};

class JudgeSnapshotTest : public testing::Test {
 protected:
  void Write(int64_t generation, const Shop& shop) {
    auto writer = SnapshotWriter::Create(store_.dir(), Generation{generation});
    ASSERT_TRUE(writer.ok()) << writer.status();
    std::vector<v1::Item> items(static_cast<size_t>(shop.items));
    v1::ScoredItems list;
    for (int i = 0; i < shop.items; ++i) {
      items[static_cast<size_t>(i)].set_item_id(absl::StrCat("i", shop.first_item + (i + shop.shift) % shop.items));
      list.add_items(static_cast<uint32_t>(i));
      list.add_scores(1);
    }
    ASSERT_TRUE((*writer)->WriteItems(items).ok());
    ASSERT_TRUE((*writer)->WriteNeighbours(std::vector<std::vector<ScoredItem>>(items.size())).ok());
    ASSERT_TRUE((*writer)->PutPopular(kPopularOverall, list).ok());
    for (int u = 0; u < shop.users; ++u) {
      v1::SnapshotUser user;
      user.mutable_profile();
      if (u >= shop.unlisted) {
        *user.mutable_list() = u < shop.unlisted + shop.empty ? v1::ScoredItems() : list;
      }
      ASSERT_TRUE((*writer)->PutUser(absl::StrFormat("u%06d", u), user).ok());
    }
    v1::SnapshotManifest manifest;
    manifest.set_segment_size(1024);
    manifest.set_events(1000);
    manifest.set_users(shop.users);
    manifest.set_items(shop.items);
    const auto finished = (*writer)->Finish(manifest);
    ASSERT_TRUE(finished.ok()) << finished.status();
  }
  std::unique_ptr<SnapshotReader> Open(int64_t generation) {
    auto reader = SnapshotReader::Open(store_.dir(), Generation{generation}, SnapshotReader::Verify::kManifest, 1 << 20);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }
  v1::GateVerdict Judged(int64_t generation) {
    const auto verdict = JudgeSnapshot(store_, Generation{generation}, DefaultConfig().batch().gate());
    EXPECT_TRUE(verdict.ok()) << verdict.status();
    return verdict.value_or(v1::GateVerdict());
  }
  std::string Path(const std::string& name) const { return absl::StrCat(store_.dir(), "/", name); }

  const TempDir dir_;
  SnapshotStore store_{dir_.Join("snapshots")};
};

TEST_F(JudgeSnapshotTest, MeasuresWhatListsHoldInTheirFirstPlaces) {
  Write(1, {.users = 10, .items = 30, .unlisted = 2, .empty = 3});
  const auto measures = MeasureSnapshot(*Open(1));
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_EQ(measures->users, 10);
  EXPECT_EQ(measures->listed_users, 5);
  EXPECT_EQ(measures->empty_lists, 3);
  EXPECT_EQ(measures->listed_items, kGateDepth);
  EXPECT_EQ(measures->popular_items, 30);
  EXPECT_GT(measures->size_bytes, 0);
}

// 40 items, the order turned by 5: 15 of the first 20 stay. New numbers of the same items are no churn.
TEST_F(JudgeSnapshotTest, ChurnIsOfItemIdsInTheFirstPlaces) {
  Write(1, {.items = 40});
  Write(2, {.items = 40, .shift = 5});
  Write(3, {.items = 20, .shift = 7});
  Write(4, {.items = 20, .shift = 3});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_NEAR(churn->lists, 0.25, 1e-9);
  EXPECT_NEAR(churn->popular, 0.25, 1e-9);
  const auto turned = MeasureChurn(*Open(4), *Open(3));
  ASSERT_TRUE(turned.ok()) << turned.status();
  EXPECT_EQ(turned->lists, 0);
}

TEST_F(JudgeSnapshotTest, ChurnOfManyUsersIsSampled) {
  Write(1, {.users = 9000});
  Write(2, {.users = 9000, .unlisted = 4500});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_NEAR(churn->lists, 0.5, 0.05);
}

TEST_F(JudgeSnapshotTest, UsersWithoutAListBeforeSayNothing) {
  Write(1, {.unlisted = 300});
  Write(2, {});
  const auto churn = MeasureChurn(*Open(2), *Open(1));
  ASSERT_TRUE(churn.ok()) << churn.status();
  EXPECT_TRUE(std::isnan(churn->lists));
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());
  EXPECT_EQ(Judged(2).outcome(), v1::GateVerdict::PASSED);
}

TEST_F(JudgeSnapshotTest, WithoutACurrentSnapshotThereIsNoComparison) {
  Write(1, {});
  Write(2, {});
  const v1::GateVerdict verdict = Judged(2);
  EXPECT_EQ(verdict.outcome(), v1::GateVerdict::PASSED);
  EXPECT_EQ(verdict.active_generation(), 0);
}

TEST_F(JudgeSnapshotTest, OtherItemsInAllListsAreRefused) {
  Write(1, {});
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());
  Write(2, {.first_item = 100});
  const v1::GateVerdict verdict = Judged(2);
  EXPECT_EQ(verdict.outcome(), v1::GateVerdict::REFUSED);
  EXPECT_EQ(verdict.active_generation(), 1);
  EXPECT_TRUE(verdict.damage().empty());
}

TEST_F(JudgeSnapshotTest, ADamagedCandidateIsRefusedWithTheFile) {
  Write(1, {});
  std::fstream file(Path("1/items.bin"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  const v1::GateVerdict verdict = Judged(1);
  EXPECT_EQ(verdict.outcome(), v1::GateVerdict::REFUSED);
  EXPECT_THAT(verdict.damage(), HasSubstr("items.bin"));
}

TEST_F(JudgeSnapshotTest, ADamagedOrMissingCurrentSnapshotDoesNotBarItsReplacement) {
  Write(1, {});
  Write(2, {.first_item = 100});
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());
  ASSERT_EQ(Judged(2).outcome(), v1::GateVerdict::REFUSED);
  std::filesystem::remove(Path("1/items.bin"));
  EXPECT_EQ(Judged(2).outcome(), v1::GateVerdict::PASSED);
  std::filesystem::remove_all(Path("1"));
  EXPECT_EQ(Judged(2).outcome(), v1::GateVerdict::PASSED);
  std::ofstream(Path("CURRENT")) << "garbage";
  EXPECT_EQ(Judged(2).outcome(), v1::GateVerdict::PASSED);
}

TEST_F(JudgeSnapshotTest, VerdictsAreKeptBesideTheManifestAndARollbackPassesRefusedOnesBy) {
  for (int64_t generation = 1; generation <= 3; ++generation) {
    Write(generation, {});
  }
  EXPECT_TRUE(absl::IsNotFound(ReadGateVerdict(store_.dir(), Generation{2}).status()));
  v1::GateVerdict verdict;
  verdict.set_generation(2);
  verdict.set_outcome(v1::GateVerdict::REFUSED);
  verdict.add_checks()->set_candidate(std::nan(""));
  ASSERT_TRUE(WriteGateVerdict(store_.dir(), verdict).ok());
  EXPECT_TRUE(WasRefused(store_.dir(), Generation{2}));
  EXPECT_TRUE(std::isnan(ReadGateVerdict(store_.dir(), Generation{2})->checks(0).candidate()));
  EXPECT_EQ(RollbackTarget(store_.dir(), *store_.List(), Generation{3}), Generation{1});
  EXPECT_EQ(RollbackTarget(store_.dir(), *store_.List(), Generation{1}), std::nullopt);
  std::ofstream(Path("2/GATE.json")) << "{";
  EXPECT_TRUE(absl::IsDataLoss(ReadGateVerdict(store_.dir(), Generation{2}).status()));
  EXPECT_EQ(RollbackTarget(store_.dir(), *store_.List(), Generation{3}), Generation{2});
}

}  // namespace
}  // namespace tributary::batch
