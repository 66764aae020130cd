#include "common/local_store/local_store.h"

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_local_store.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::Pair;
using Entry = LocalStore::Entry;

size_t FilesIn(const std::string& dir) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir), {}));
}

// What the interface says, of the real one and of the fake.
class LocalStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  LocalStoreTest() {
    if (GetParam()) {
      store_ = std::make_unique<FakeLocalStore>();
    } else {
      auto opened = OpenLocalStore(dir_.Join("store"));
      CHECK(opened.ok()) << opened.status();
      store_ = *std::move(opened);
    }
  }
  TempDir dir_;
  std::unique_ptr<LocalStore> store_;
};
INSTANTIATE_TEST_SUITE_P(Stores, LocalStoreTest, ::testing::Bool(),
                         [](const auto& of) { return of.param ? "Fake" : "RocksDb"; });

TEST_P(LocalStoreTest, WhatWasPutLastIsThere) {
  ASSERT_TRUE(store_->Put({{"a", "1"}, {"b", std::string("\0x", 2)}}).ok());
  ASSERT_TRUE(store_->Put({{"a", "2"}, {"", "empty"}}).ok());
  const auto values = store_->Get({"b", "missing", "a", ""});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(*values, ElementsAre(Optional(std::string("\0x", 2)), std::nullopt, Optional(std::string("2")),
                                   Optional(std::string("empty"))));
}

TEST_P(LocalStoreTest, ScansARangeByKeyWithinALimit) {
  ASSERT_TRUE(store_->Put({{"c", "3"}, {"a", "1"}, {"b", "2"}, {"d", "4"}}).ok());
  EXPECT_THAT(*store_->Scan("a", "d", 10), ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "3")));
  EXPECT_THAT(*store_->Scan("aa", "d", 1), ElementsAre(Pair("b", "2")));
  EXPECT_THAT(*store_->Scan("e", "f", 1), ElementsAre());
}

TEST_P(LocalStoreTest, DropsARange) {
  ASSERT_TRUE(store_->Put({{"a", "1"}, {"b", "2"}, {"c", "3"}}).ok());
  store_->Drop("a", "c");
  EXPECT_THAT(*store_->Get({"a", "b", "c"}), ElementsAre(std::nullopt, std::nullopt, Optional(std::string("3"))));
}

TEST(OpenLocalStoreTest, LeavesNothingBehindAndDeletesWhatAKilledProcessLeft) {
  TempDir dir;
  auto first = *OpenLocalStore(dir.path());
  ASSERT_TRUE(first->Put({{"a", "1"}}).ok());
  const std::filesystem::path alive = std::filesystem::directory_iterator(dir.path())->path();
  const std::filesystem::path left = dir.Join("users-killed");
  std::filesystem::copy(alive, left,
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  dir.Write("other", "not ours");
  auto second = *OpenLocalStore(dir.path());
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_THAT(*first->Get({"a"}), ElementsAre(Optional(std::string("1"))));  // Alive: nobody touches it.
  EXPECT_THAT(*second->Get({"a"}), ElementsAre(std::nullopt));
  first.reset();
  second.reset();
  EXPECT_EQ(FilesIn(dir.path()), 1u);
}

TEST(OpenLocalStoreTest, ADirectoryThatCannotBeMadeIsNamed) {
  TempDir dir;
  dir.Write("file", "");
  const auto store = OpenLocalStore(dir.Join("file/store"));
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(std::string(store.status().message()), ::testing::HasSubstr("file/store"));
}

TEST(OpenLocalStoreTest, WhatCannotBeOpenedLeavesNothingBehind) {
  TempDir dir;
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit nothing{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &nothing), 0);
  const auto store = OpenLocalStore(dir.path());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(store.ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

// A disk that takes no more: writes fail, what is there can be read, and goes on to be.
TEST(OpenLocalStoreTest, AFullDiskIsAnErrorAndLosesNothing) {
  TempDir dir;
  auto store = *OpenLocalStore(dir.path());
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string value(64 << 10, 'x');
  int written = 0;
  absl::Status status;
  for (; status.ok() && written < 100'000; written += status.ok() ? 1 : 0) {
    status = store->Put({{absl::StrCat("key", written), value}});
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("local store not written"));
  for (int i = 0; i < written; ++i) {
    const auto values = store->Get({absl::StrCat("key", i)});
    ASSERT_TRUE(values.ok()) << values.status();
    ASSERT_THAT(*values, ElementsAre(Optional(value))) << i;
  }
}

}  // namespace
}  // namespace tributary
