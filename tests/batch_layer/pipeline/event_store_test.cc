#include "batch_layer/pipeline/event_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

constexpr uint32_t kUsers = 40;
constexpr uint32_t kItems = 7;

class EventStoreTest : public testing::TestWithParam<size_t> {
 protected:
  // Users have 0 to many events; their places are the other way round than their first appearance.
  void Fill(EventStore* store) {
    std::mt19937_64 random(3);
    for (int64_t offset = 0; offset < 1000; ++offset) {
      DenseEvent event;
      event.user = static_cast<uint32_t>(std::min(random() % kUsers, random() % kUsers));
      event.item = static_cast<uint32_t>(random() % (kItems + 1));
      event.item = event.item == kItems ? kNoItem : event.item;
      event.partition = PartitionId{static_cast<int32_t>(offset / 500)};
      event.offset = Offset{offset % 500};
      event.value_micros = offset;
      ASSERT_TRUE(store->Add(event).ok());
      expected_[kUsers - 1 - event.user].push_back(offset);
    }
    std::vector<uint32_t> users(kUsers), items(kItems);
    for (uint32_t i = 0; i < kUsers; ++i) users[i] = kUsers - 1 - i;
    for (uint32_t i = 0; i < kItems; ++i) items[i] = i + 100;
    ASSERT_TRUE(store->Sort(users, items).ok());
  }
  void ExpectAll(EventStore* store) {
    uint32_t next = 0;
    ASSERT_TRUE(store->ForEachSlice([&](const EventSlice& slice) {
                       EXPECT_EQ(slice.first_user(), next);
                       for (; next < slice.first_user() + slice.users(); ++next) {
                         std::vector<int64_t> got;
                         for (const DenseEvent& event : slice.EventsOf(next)) {
                           EXPECT_EQ(event.user, next);
                           EXPECT_TRUE(event.item == kNoItem || (event.item >= 100 && event.item < 100 + kItems));
                           got.push_back(event.value_micros);
                         }
                         EXPECT_EQ(got, expected_[next]) << "in the order of the history";
                       }
                       largest_ = std::max(largest_, slice.events().size());
                       ++slices_;
                       return absl::OkStatus();
                     }).ok());
    EXPECT_EQ(next, kUsers);
  }
  EventStore::Options Options() const { return {.in_memory = GetParam(), .expected = 10, .dir = dir_.Join("spill")}; }

  const TempDir dir_;
  std::map<uint32_t, std::vector<int64_t>> expected_;    // By place.
  size_t slices_ = 0;
  size_t largest_ = 0;
};

TEST_P(EventStoreTest, EveryUserIsVisitedWithTheEventsInTheirOrderWhereverTheyLie) {
  {
    EventStore store(Options());
    Fill(&store);
    ExpectAll(&store);
    EXPECT_EQ(store.directory() != nullptr, GetParam() <= 1000);
    slices_ = 0;
    EventStore moved = std::move(store);
    ExpectAll(&moved);
    if (GetParam() == 100) {
      EXPECT_GE(slices_, 10u);
      EXPECT_LE(largest_, 100u) << "no user of this seed has more";
    }
    moved.ReleaseEvents();
    EXPECT_EQ(std::filesystem::exists(dir_.Join("spill")), GetParam() <= 1000);
    if (moved.directory() != nullptr) {
      EXPECT_TRUE(std::filesystem::is_empty(dir_.Join("spill")));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.Join("spill")));
}

INSTANTIATE_TEST_SUITE_P(InMemory, EventStoreTest, testing::Values(1, 7, 100, 999, 1000, 1001, 1 << 20));

TEST(EventStoreLimitsTest, NothingAndWhatAKilledRunLeft) {
  const TempDir dir;
  EventStore empty({.in_memory = 1, .dir = dir.Join("spill")});
  ASSERT_TRUE(empty.Sort({}, {}).ok());
  ASSERT_TRUE(empty.ForEachSlice([](const EventSlice& slice) {
                     EXPECT_EQ(slice.users(), 0u);
                     return absl::OkStatus();
                   }).ok());
  std::filesystem::create_directories(dir.Join("spill"));
  dir.Write("spill/slice-9", "left by a run that was killed");
  EventStore store({.in_memory = 1, .dir = dir.Join("spill")});
  ASSERT_TRUE(store.Add({}).ok());
  EXPECT_FALSE(std::filesystem::exists(dir.Join("spill/slice-9")));
}

TEST(EventStoreLimitsTest, AFullDiskIsResourceExhaustedAndNamesTheFile) {
  const TempDir dir;
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 64 * 1024;
  EventStore store({.in_memory = 100, .dir = dir.Join("spill")});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  absl::Status status;
  for (int64_t i = 0; i < 1'000'000 && status.ok(); ++i) {
    status = store.Add({.offset = Offset{i}});
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("arrivals"));
}

TEST(StringSpoolTest, StringsComeBackInTheirOrderFromMemoryAndFromAFile) {
  const TempDir dir;
  const std::vector<std::string> texts = {"", "one", std::string(300'000, 'x'), "", std::string("\0\x01", 2)};
  auto file = StringSpool::Create(dir.Join("spool"));
  ASSERT_TRUE(file.ok());
  StringSpool memory;
  for (StringSpool* spool : {&memory, &*file}) {
    for (const std::string& text : texts) ASSERT_TRUE(spool->Append(text).ok());
    for (int pass = 0; pass < 2; ++pass) {
      ASSERT_TRUE(spool->Rewind().ok());
      for (const std::string& text : texts) {
        std::string got = "old";
        ASSERT_TRUE(spool->Next(&got).ok());
        EXPECT_EQ(got, text);
      }
    }
  }
}

}  // namespace
}  // namespace tributary::batch
