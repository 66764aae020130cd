#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "common/snapshot/snapshot.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

std::vector<int64_t> Listed(const SnapshotStore& store) {
  std::vector<int64_t> generations;
  const auto manifests = store.List();
  if (!manifests.ok()) {
    ADD_FAILURE() << manifests.status();
    return generations;
  }
  for (const v1::SnapshotManifest& manifest : *manifests) {
    generations.push_back(manifest.generation());
  }
  return generations;
}

TEST(SnapshotStoreTest, ListsCompleteSnapshotsByNumber) {
  const TempDir temp;
  const std::string& dir = temp.path();
  const SnapshotStore store(dir);
  EXPECT_THAT(Listed(store), ElementsAre());
  for (int64_t generation : {10, 9, 100}) {
    ASSERT_TRUE(sample::Write(dir, Generation{generation}, 3).ok());
  }
  fs::create_directory(dir + "/11");
  fs::create_directory(dir + "/notes");
  fs::create_directory(dir + "/007");
  fs::copy(dir + "/9", dir + "/12.partial", fs::copy_options::recursive);
  fs::copy(dir + "/9", dir + "/12", fs::copy_options::recursive);   // Its manifest says 9.
  EXPECT_THAT(Listed(store), ElementsAre(9, 10, 100));
  EXPECT_EQ(store.ReadManifest(Generation{10})->generation(), 10);
  EXPECT_TRUE(absl::IsNotFound(store.ReadManifest(Generation{11}).status()));
}

TEST(SnapshotStoreTest, ActivateNamesTheCurrentGeneration) {
  const TempDir temp;
  const std::string& dir = temp.path();
  SnapshotStore store(dir);
  ASSERT_TRUE(sample::Write(dir, Generation{1}, 3).ok());
  ASSERT_TRUE(sample::Write(dir, Generation{2}, 3).ok());
  EXPECT_TRUE(absl::IsNotFound(store.Current().status()));
  ASSERT_TRUE(store.Activate(Generation{2}).ok());
  EXPECT_EQ(*store.Current(), Generation{2});
  ASSERT_TRUE(store.Activate(Generation{1}).ok());
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_EQ(*SnapshotStore(dir).Current(), Generation{1});
  EXPECT_TRUE(absl::IsNotFound(store.Activate(Generation{3})));
  fs::resize_file(dir + "/2/items.bin", 5);
  EXPECT_TRUE(absl::IsDataLoss(store.Activate(Generation{2})));
  EXPECT_EQ(*store.Current(), Generation{1});
}

TEST(SnapshotStoreTest, ACurrentFileOfNonsenseIsDataLoss) {
  const TempDir temp;
  const std::string& dir = temp.path();
  const SnapshotStore store(dir);
  for (const std::string text : {"", "\n", "x", "-1", "0", "1 2", "01", "99999999999999999999"}) {
    std::ofstream(dir + "/CURRENT", std::ios::trunc) << text;
    EXPECT_TRUE(absl::IsDataLoss(store.Current().status())) << text;
  }
  std::ofstream(dir + "/CURRENT", std::ios::trunc) << std::string(1'000'000, '1');
  EXPECT_TRUE(absl::IsDataLoss(store.Current().status()));
}

TEST(SnapshotStoreTest, RemoveDeletesAllButTheCurrentOne) {
  const TempDir temp;
  const std::string& dir = temp.path();
  SnapshotStore store(dir);
  ASSERT_TRUE(sample::Write(dir, Generation{1}, 3).ok());
  ASSERT_TRUE(sample::Write(dir, Generation{2}, 3).ok());
  ASSERT_TRUE(store.Activate(Generation{2}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store.Remove(Generation{2})));
  fs::create_directories(dir + "/1.removed/db");   // Left by a crash.
  ASSERT_TRUE(store.Remove(Generation{1}).ok());
  EXPECT_FALSE(fs::exists(dir + "/1"));
  EXPECT_FALSE(fs::exists(dir + "/1.removed"));
  EXPECT_TRUE(absl::IsNotFound(store.Remove(Generation{1})));
  EXPECT_THAT(Listed(store), ElementsAre(2));
}

TEST(SnapshotStoreTest, LeftoversOfKilledRunsGoAndNothingElse) {
  const TempDir temp;
  const std::string& dir = temp.path();
  SnapshotStore store(dir);
  ASSERT_TRUE(sample::Write(dir, Generation{3}, 3).ok());
  for (const char* name : {"4.partial/db", "2.removed/db", "5", "notes.partial", "04.partial", "6.copying"}) {
    fs::create_directories(dir + "/" + name);
  }
  std::ofstream(dir + "/7.partial") << "a file, not ours";
  const auto removed = store.RemoveLeftovers();
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_THAT(*removed, ElementsAre("2.removed", "4.partial"));
  for (const char* name : {"3/MANIFEST.json", "5", "notes.partial", "04.partial", "6.copying", "7.partial"}) {
    EXPECT_TRUE(fs::exists(dir + "/" + name)) << name;
  }
  EXPECT_EQ(*store.LastGeneration(), Generation{5});
}

TEST(SnapshotStoreTest, OneRunAtATimeAndReadersNeedNoLock) {
  const TempDir temp;
  const std::string dir = temp.Join("snapshots");
  SnapshotStore store(dir);
  EXPECT_TRUE(absl::IsNotFound(store.LastGeneration().status()));
  auto lock = store.LockForRun();
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_TRUE(absl::IsAborted(SnapshotStore(dir).LockForRun().status()));
  ASSERT_TRUE(sample::Write(dir, Generation{1}, 3).ok());
  EXPECT_TRUE(SnapshotStore(dir).Activate(Generation{1}).ok());
  EXPECT_THAT(Listed(store), ElementsAre(1));
  lock->reset();
  EXPECT_TRUE(store.LockForRun().ok());
}

TEST(SnapshotStoreTest, AReaderOutlivesTheRemovalOfItsSnapshot) {
  const TempDir temp;
  const std::string& dir = temp.path();
  SnapshotStore store(dir);
  ASSERT_TRUE(sample::Write(dir, Generation{1}, 40).ok());
  const auto reader = SnapshotReader::Open(dir, Generation{1}, SnapshotReader::Verify::kManifest, 0);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(store.Remove(Generation{1}).ok());
  EXPECT_EQ(sample::Difference(**reader, 40), "");
}

TEST(SnapshotStoreTest, ConcurrentActivationsLeaveOneOfThemCurrentAndAlwaysReadable) {
  const TempDir temp;
  const std::string& dir = temp.path();
  constexpr int kActivators = 3;
  constexpr int kRounds = 20;
  for (int generation = 1; generation <= kActivators; ++generation) {
    ASSERT_TRUE(sample::Write(dir, Generation{generation}, 1).ok());
  }
  ASSERT_TRUE(SnapshotStore(dir).Activate(Generation{1}).ok());
  std::atomic<int> failures = 0;
  std::atomic<bool> done = false;
  std::jthread reader([&] {
    const SnapshotStore store(dir);
    while (!done) {
      const auto current = store.Current();
      failures += !current.ok() || Value(*current) < 1 || Value(*current) > kActivators;
    }
  });
  {
    std::vector<std::jthread> activators;
    for (int generation = 1; generation <= kActivators; ++generation) {
      activators.emplace_back([&, generation] {
        SnapshotStore store(dir);   // As another process would have its own.
        for (int round = 0; round < kRounds; ++round) {
          failures += !store.Activate(Generation{generation}).ok();
        }
      });
    }
  }
  done = true;
  reader.join();
  EXPECT_EQ(failures, 0);
  EXPECT_FALSE(fs::exists(dir + "/CURRENT.tmp"));
}

TEST(SnapshotStoreTest, ACrashAtAnyStepOfWritingLeavesNothingVisible) {
  const TempDir temp;
  const std::string& dir = temp.path();
  const SnapshotStore store(dir);
  const auto expect_invisible = [&](const char* step) {
    EXPECT_THAT(Listed(store), ElementsAre()) << step;
    EXPECT_TRUE(absl::IsNotFound(
        SnapshotReader::Open(dir, Generation{1}, SnapshotReader::Verify::kManifest, 0).status())) << step;
  };
  {
    const auto writer = SnapshotWriter::Create(dir, Generation{1});
    ASSERT_TRUE(writer.ok());
    expect_invisible("created");
    ASSERT_TRUE(sample::Fill(**writer, 40).ok());
    expect_invisible("filled");
    // What a killed writer leaves is copied aside, since this one cleans up after itself.
    fs::copy(dir + "/1.partial", dir + "/left", fs::copy_options::recursive);
  }
  expect_invisible("given up");
  EXPECT_FALSE(fs::exists(dir + "/1.partial"));
  fs::rename(dir + "/left", dir + "/1.partial");
  expect_invisible("killed before Finish");

  ASSERT_TRUE(sample::Write(dir, Generation{1}, 40).ok());   // Over the leftover.
  EXPECT_FALSE(fs::exists(dir + "/1.partial"));
  fs::rename(dir + "/1", dir + "/1.partial");
  expect_invisible("killed before the rename");
  fs::rename(dir + "/1.partial", dir + "/1");
  fs::rename(dir + "/1/MANIFEST.json", dir + "/manifest");
  expect_invisible("copied without its manifest");
  fs::rename(dir + "/manifest", dir + "/1/MANIFEST.json");
  EXPECT_THAT(Listed(store), ElementsAre(1));
}

}  // namespace
}  // namespace tributary
