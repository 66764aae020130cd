#include "common/snapshot/canary.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

class CanaryTest : public ::testing::Test {
 protected:
  CanaryTest() {
    for (const int64_t generation : {1, 2, 3}) {
      EXPECT_TRUE(sample::Write(temp_.path(), Generation{generation}, 3).ok());
    }
    EXPECT_TRUE(store_.Activate(Generation{1}).ok());
  }
  absl::StatusOr<v1::Canary> Start(int64_t generation, double percent) {
    v1::Canary canary;
    canary.set_generation(generation);
    canary.set_percent(percent);
    return StartCanary(store_, canary);
  }

  const TempDir temp_;
  SnapshotStore store_{temp_.path()};
};

TEST_F(CanaryTest, HoldsUntilItIsStopped) {
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
  ASSERT_TRUE(Start(2, 12.5).ok());
  const absl::StatusOr<v1::Canary> canary = ReadCanary(store_);
  ASSERT_TRUE(canary.ok()) << canary.status();
  EXPECT_EQ(canary->generation(), 2);
  EXPECT_EQ(canary->percent(), 12.5);
  EXPECT_EQ(canary->current_generation(), 1);
  ASSERT_TRUE(Start(3, 1).ok());   // In its place.
  EXPECT_EQ(ReadCanary(store_)->generation(), 3);
  ASSERT_TRUE(StopCanary(store_).ok());
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
  EXPECT_TRUE(StopCanary(store_).ok());
}

TEST_F(CanaryTest, EndsWithTheCurrentSnapshotAndDoesNotComeBackWithIt) {
  ASSERT_TRUE(Start(2, 10).ok());
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());   // Is the current one already.
  EXPECT_TRUE(ReadCanary(store_).ok());
  ASSERT_TRUE(store_.Activate(Generation{2}).ok());
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
  ASSERT_TRUE(store_.Activate(Generation{1}).ok());
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
}

TEST_F(CanaryTest, EndsAlsoWhenABuildThatKnowsNoCanariesActivates) {
  ASSERT_TRUE(Start(2, 10).ok());
  std::ofstream(temp_.path() + "/CURRENT") << "3\n";
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
}

TEST_F(CanaryTest, WhatCannotBeServedIsNoCandidate) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Start(1, 10).status()));
  EXPECT_TRUE(absl::IsNotFound(Start(9, 10).status()));
  std::filesystem::resize_file(temp_.path() + "/2/items.bin", 1);
  EXPECT_TRUE(absl::IsDataLoss(Start(2, 10).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadCanary(store_).status()));
  std::filesystem::remove(temp_.path() + "/CURRENT");
  EXPECT_TRUE(absl::IsNotFound(Start(3, 10).status()));
}

TEST_F(CanaryTest, ACandidateIsNotRemoved) {
  ASSERT_TRUE(Start(2, 0).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store_.Remove(Generation{2})));
  EXPECT_TRUE(store_.Remove(Generation{3}).ok());
  ASSERT_TRUE(StopCanary(store_).ok());
  EXPECT_TRUE(store_.Remove(Generation{2}).ok());
}

TEST_F(CanaryTest, AFileThatIsNoneIsDataLoss) {
  for (const char* text : {"", "{", "{}", R"({"generation":"2","percent":101,"currentGeneration":"1"})",
                           R"({"generation":"2","percent":"NaN","currentGeneration":"1"})",
                           R"({"generation":"1","percent":1,"currentGeneration":"1"})"}) {
    std::ofstream(temp_.path() + "/CANARY.json") << text;
    EXPECT_TRUE(absl::IsDataLoss(ReadCanary(store_).status())) << text;
  }
  std::ofstream(temp_.path() + "/CANARY.json") << R"({"generation":"2","percent":1,"currentGeneration":"1","later":{}})";
  EXPECT_TRUE(ReadCanary(store_).ok());
}

}  // namespace
}  // namespace tributary
