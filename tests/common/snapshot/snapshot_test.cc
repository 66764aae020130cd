#include "common/snapshot/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/event/user_digest.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Generation kGeneration{42};
constexpr int kUsers = 40;
constexpr int64_t kCacheBytes = 1 << 20;
using Verify = SnapshotReader::Verify;

std::vector<std::string> Listing(const std::string& dir) {
  std::vector<std::string> lines;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(dir)) {
    lines.push_back(entry.path().string() + " " + std::to_string(entry.last_write_time().time_since_epoch().count()) + " " +
                    (entry.is_regular_file() ? std::to_string(entry.file_size()) : "directory"));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

v1::ScoredItems List(uint32_t item, float score) {
  v1::ScoredItems list;
  list.add_items(item);
  list.add_scores(score);
  return list;
}

TEST(SnapshotTest, EverythingWrittenIsReadBackAtEveryLevel) {
  const TempDir temp;
  const std::string& dir = temp.path();
  const auto manifest = sample::Write(dir, kGeneration, kUsers);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  for (Verify verify : {Verify::kManifest, Verify::kChecksums, Verify::kDigest}) {
    const auto reader = SnapshotReader::Open(dir, kGeneration, verify, kCacheBytes);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ(sample::Difference(**reader, kUsers), "");
    EXPECT_EQ((*reader)->generation(), kGeneration);
    EXPECT_EQ((*reader)->manifest().seed(), 0xFFFF'FFFF'FFFF'FFFF);
    EXPECT_EQ((*reader)->manifest().metrics(0).value(), 0.123456789012345678);
    EXPECT_EQ((*reader)->manifest().content_digest(), manifest->content_digest());
  }
}

TEST(SnapshotTest, ScansVisitEveryPairInOrderAndStopAtAnError) {
  const TempDir temp;
  const std::string& dir = temp.path();
  ASSERT_TRUE(sample::Write(dir, kGeneration, kUsers).ok());
  const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kManifest, kCacheBytes);
  ASSERT_TRUE(reader.ok());
  int users = 0;
  ASSERT_TRUE((*reader)->ForEachUser([&](absl::string_view id, const v1::SnapshotUser& user) {
    EXPECT_EQ(id, sample::UserId(users));
    EXPECT_EQ(user.SerializeAsString(), sample::UserNumbered(users).SerializeAsString());
    ++users;
    return absl::OkStatus();
  }).ok());
  EXPECT_EQ(users, kUsers);

  std::vector<CountKey> counts;
  ASSERT_TRUE((*reader)->ForEachCount([&](const CountKey& key, const v1::CountTotal&) {
    counts.push_back(key);
    return absl::OkStatus();
  }).ok());
  ASSERT_EQ(counts.size(), 12u);
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i], sample::CountNumbered(static_cast<int>(i)));
  }

  int lists = 0;
  const absl::Status stopped = (*reader)->ForEachPopular([&](absl::string_view, const v1::ScoredItems&) {
    ++lists;
    return absl::CancelledError("enough");
  });
  EXPECT_TRUE(absl::IsCancelled(stopped));
  EXPECT_EQ(lists, 1);
}

TEST(SnapshotTest, WhatIsNotThereIsNotFound) {
  const TempDir temp;
  const std::string& dir = temp.path();
  ASSERT_TRUE(sample::Write(dir, kGeneration, kUsers).ok());
  const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kManifest, kCacheBytes);
  ASSERT_TRUE(reader.ok());
  v1::SnapshotUser user;
  v1::ScoredItems list;
  v1::CountTotal total;
  v1::LiveCounts cut;
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindUser("user-000040", &user)));
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindUser("", &user)));
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindPopular("category:none", &list)));
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindCount({v1::BY_PAGE, "a", v1::CLICK}, &total)));
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindCutCounts(PartitionId{3}, &cut)));
  EXPECT_TRUE(absl::IsInvalidArgument((*reader)->FindCutCounts(kImportPartition, &cut)));
  EXPECT_TRUE(absl::IsInvalidArgument((*reader)->ReadItem(ItemNumber{sample::kItems}).status()));
  EXPECT_TRUE((*reader)->Neighbours(ItemNumber{sample::kItems}).empty());
  EXPECT_TRUE((*reader)->Neighbours(ItemNumber{std::numeric_limits<uint32_t>::max()}).empty());
  EXPECT_EQ((*reader)->Watermark(PartitionId{99}), Offset{0});
}

TEST(SnapshotTest, TheSameContentHasTheSameDigestHoweverItIsLaidOut) {
  const TempDir temp_a;
  const TempDir temp_b;
  const std::string& a = temp_a.path();
  const std::string& b = temp_b.path();
  const auto write = [](const std::string& dir, Generation generation, int users, int64_t target_file_bytes) {
    const auto writer = SnapshotWriter::Create(dir, generation, target_file_bytes);
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE(sample::Fill(**writer, users).ok());
    for (int i = 0; i < 20'000; ++i) {
      EXPECT_TRUE((*writer)->PutPopular(PopularSegmentScope(absl::StrFormat("segment %06d", i)), List(i % 7, 1)).ok());
    }
    return (*writer)->Finish(sample::Manifest());
  };
  const auto first = write(a, kGeneration, 2'000, kSnapshotFileBytes);
  const auto second = write(b, Generation{43}, 2'000, /*target_file_bytes=*/4'096);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GT(second->files_size(), first->files_size() + 3);  // Popular items are in several files.
  EXPECT_EQ(first->content_digest(), second->content_digest());
  EXPECT_EQ(first->content_digest().size(), 32u);
  const auto reader = SnapshotReader::Open(b, Generation{43}, Verify::kDigest, kCacheBytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(sample::Difference(**reader, 2'000), "");

  const auto other = write(b, Generation{44}, 1'999, kSnapshotFileBytes);
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->content_digest(), first->content_digest());
}

TEST(SnapshotTest, ReadingWritesNothingIntoTheSnapshot) {
  const TempDir temp;
  const std::string& dir = temp.path();
  ASSERT_TRUE(sample::Write(dir, kGeneration, kUsers).ok());
  const std::vector<std::string> before = Listing(dir);
  {
    const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kDigest, kCacheBytes);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(Listing(dir), before);
  }
  EXPECT_EQ(Listing(dir), before);
}

TEST(SnapshotTest, ManyThreadsReadAtOnce) {
  const TempDir temp;
  const std::string& dir = temp.path();
  ASSERT_TRUE(sample::Write(dir, kGeneration, kUsers).ok());
  const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kManifest, kCacheBytes);
  ASSERT_TRUE(reader.ok());
  std::vector<std::string> differences(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& difference : differences) {
      threads.emplace_back([&difference, &reader] { difference = sample::Difference(**reader, kUsers); });
    }
  }
  EXPECT_THAT(differences, testing::Each(""));
}

TEST(SnapshotTest, OfAForgottenUserOnlyTheTimeIsLeftAndNoId) {
  const TempDir temp;
  const std::string& dir = temp.path();
  const std::string user_id = "alice in wonderland";
  auto writer = SnapshotWriter::Create(dir, kGeneration);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->WriteItems({}).ok());
  ASSERT_TRUE((*writer)->WriteNeighbours({}).ok());
  ASSERT_TRUE((*writer)->PutForgottenUser(UserDigest(user_id), 1234).ok());
  ASSERT_TRUE((*writer)->PutUser("bob of the hatters", {}).ok());
  ASSERT_TRUE((*writer)->Finish({}).ok());
  const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kDigest, kCacheBytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  v1::SnapshotUser user;
  ASSERT_TRUE((*reader)->FindUser(user_id, &user).ok());
  EXPECT_EQ(user.profile().forgotten_until_unix_ms(), 1234);
  EXPECT_FALSE(user.has_list());
  EXPECT_TRUE(absl::IsNotFound((*reader)->FindUser("alice", &user)));
  EXPECT_TRUE((*reader)->FindUser("bob of the hatters", &user).ok());
  std::vector<std::string> visited;
  ASSERT_TRUE((*reader)->ForEachUser([&visited](absl::string_view id, const v1::SnapshotUser&) {
                           visited.emplace_back(id);
                           return absl::OkStatus();
                         }).ok());
  EXPECT_THAT(visited, testing::ElementsAre("bob of the hatters"));
  bool bob = false;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) {
      const std::string bytes = ReadText(entry.path());
      bob = bob || absl::StrContains(bytes, "bob of");
      EXPECT_FALSE(absl::StrContains(bytes, "wonderland")) << entry.path();
    }
  }
  EXPECT_TRUE(bob) << "ids of others can be read in the files";
}

TEST(SnapshotTest, EmptyViewsAreFine) {
  const TempDir temp;
  const std::string& dir = temp.path();
  auto writer = SnapshotWriter::Create(dir, kGeneration);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->WriteItems({}).ok());
  ASSERT_TRUE((*writer)->WriteNeighbours({}).ok());
  const auto manifest = (*writer)->Finish({});
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  const auto reader = SnapshotReader::Open(dir, kGeneration, Verify::kDigest, /*block_cache_bytes=*/0);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->item_count(), 0u);
  EXPECT_TRUE((*reader)->Neighbours(ItemNumber{0}).empty());
  EXPECT_TRUE((*reader)->ForEachUser([](auto, const auto&) { return absl::InternalError("a user"); }).ok());
  StoredUser user;
  EXPECT_EQ((*reader)->ReadUser("u", &user).value_or(true), false);
}

// Each item once filled all that the buffer had room for with zeros: minutes for these, an hour for a million.
TEST(SnapshotWriterTest, TheTimeForAnItemDoesNotGrowWithTheItemsBeforeIt) {
  const TempDir temp;
  auto writer = SnapshotWriter::Create(temp.path(), kGeneration);
  ASSERT_TRUE(writer.ok());
  std::vector<v1::Item> items(500'000);
  for (size_t i = 0; i < items.size(); ++i) items[i].set_item_id(absl::StrCat("an item with a rather long name, number ", i));
  EXPECT_TRUE((*writer)->WriteItems(items).ok());
}

TEST(SnapshotWriterTest, RefusesWhatAReaderCouldNotTrust) {
  const TempDir temp;
  const std::string& dir = temp.path();
  auto created = SnapshotWriter::Create(dir, kGeneration);
  ASSERT_TRUE(created.ok());
  SnapshotWriter& writer = **created;
  ASSERT_TRUE(writer.PutUser("b", {}).ok());
  EXPECT_THAT(writer.PutUser("b", {}).message(), HasSubstr("out of order"));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutUser("a", {})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutUser("", {})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutUser(std::string(1 << 16, 'u'), {})));
  v1::SnapshotUser no_kind;
  no_kind.mutable_profile()->add_items(0);
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutUser("c", no_kind)));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutPopular("all", List(0, -1))));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutPopular("all", List(0, std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutPopular("all", List(0, std::numeric_limits<float>::infinity()))));
  v1::ScoredItems unequal = List(0, 1);
  unequal.add_items(1);
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutPopular("all", unequal)));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutCount({v1::MEASURE_UNSPECIFIED, "", v1::VIEW}, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutCount({v1::OVERALL, "", v1::EVENT_TYPE_UNSPECIFIED}, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.PutCutCounts(kImportPartition, {})));
  EXPECT_TRUE(absl::IsFailedPrecondition(writer.Finish({}).status()));   // No items, no neighbours.
}

TEST(SnapshotWriterTest, RefusesItemNumbersBeyondTheItemTable) {
  const TempDir temp;
  const std::string& dir = temp.path();
  auto writer = SnapshotWriter::Create(dir, kGeneration);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->PutPopular("all", List(1, 1)).ok());
  ASSERT_TRUE((*writer)->WriteItems(std::vector<v1::Item>(1)).ok());
  ASSERT_TRUE((*writer)->WriteNeighbours(std::vector<std::vector<ScoredItem>>(1)).ok());
  const absl::Status status = (*writer)->Finish({}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(status.message(), HasSubstr("view=popularity item=1"));
  writer->reset();
  EXPECT_TRUE(fs::is_empty(dir));
}

TEST(SnapshotWriterTest, RefusesFactorsThatAreNotOneRowAnItem) {
  const TempDir temp;
  auto writer = SnapshotWriter::Create(temp.path(), kGeneration);
  ASSERT_TRUE(writer.ok());
  SnapshotFactors factors = sample::ItemFactors();
  factors.dimensions = 2;
  EXPECT_THAT((*writer)->WriteFactors(factors).message(), HasSubstr("unequal arrays"));
  ASSERT_TRUE((*writer)->WriteFactors(sample::ItemFactors()).ok());
  ASSERT_TRUE((*writer)->WriteItems(std::vector<v1::Item>(1)).ok());
  ASSERT_TRUE((*writer)->WriteNeighbours(std::vector<std::vector<ScoredItem>>(1)).ok());
  EXPECT_THAT((*writer)->Finish({}).status().message(), HasSubstr("not one row of factors an item"));
}

TEST(SnapshotWriterTest, AGenerationIsWrittenOnceAndByOneWriter) {
  const TempDir temp;
  const std::string& dir = temp.path();
  EXPECT_TRUE(absl::IsInvalidArgument(SnapshotWriter::Create(dir, Generation{0}).status()));
  {
    const auto writer = SnapshotWriter::Create(dir, kGeneration);
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(SnapshotWriter::Create(dir, kGeneration).status()));
  }
  ASSERT_TRUE(sample::Write(dir, kGeneration, kUsers).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(SnapshotWriter::Create(dir, kGeneration).status()));
  EXPECT_TRUE(SnapshotReader::Open(dir, kGeneration, Verify::kDigest, kCacheBytes).ok());
}

}  // namespace
}  // namespace tributary
