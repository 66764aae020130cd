#include "batch_layer/gate/judge_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/snapshot/gate_verdict.h"
#include "tests/common/snapshot/shop.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::HasSubstr;

class JudgeSnapshotTest : public testing::Test {
 protected:
  void Write(int64_t generation, const sample::Shop& shop) {
    const absl::Status written = sample::WriteShop(store_.dir(), Generation{generation}, shop);
    ASSERT_TRUE(written.ok()) << written;
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

TEST_F(JudgeSnapshotTest, UsersWithoutAListBeforeSayNothing) {
  Write(1, {.unlisted = 300});
  Write(2, {});
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
