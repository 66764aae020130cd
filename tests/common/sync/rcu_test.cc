#include "common/sync/rcu.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/sync/rcu_map.h"

namespace tributary {
namespace {

// Counts its living copies and holds two halves that only a torn or freed object shows unequal.
struct Pair {
  Pair(int64_t n, std::atomic<int>* living_count) : first(n), second(-n), living(living_count) { living->fetch_add(1); }
  Pair(Pair&& other) noexcept : Pair(other.first, other.living) {}
  Pair(const Pair&) = delete;
  ~Pair() {
    first = second = 1;
    living->fetch_sub(1);
  }
  int64_t first;
  int64_t second;
  std::atomic<int>* living;
};

TEST(RcuTest, PublishDestroysTheOldValueWhenNoReaderIsLeft) {
  std::atomic<int> living{0};
  {
    Rcu<Pair> cell(std::make_unique<const Pair>(1, &living));
    cell.Publish(std::make_unique<const Pair>(2, &living));
    EXPECT_EQ(living, 1);
    EpochGuard guard;
    EXPECT_EQ(cell.Load()->first, 2);
  }
  EXPECT_EQ(living, 0);
}

TEST(RcuTest, AnOpenGuardKeepsTheOldValue) {
  std::atomic<int> living{0};
  Rcu<Pair> cell(std::make_unique<const Pair>(1, &living));
  std::thread writer;
  std::atomic<bool> published{false};
  {
    EpochGuard outer;
    const Pair* old = cell.Load();
    writer = std::thread([&] {
      cell.Publish(std::make_unique<const Pair>(2, &living));
      published = true;
    });
    // The new value is to be seen while the old one is still held.
    while (cell.Load() == old) {
      std::this_thread::yield();
    }
    { EpochGuard inner; }  // The end of a nested guard lets go of nothing.
    EXPECT_FALSE(published);
    EXPECT_EQ(old->first, 1);
    EXPECT_EQ(living, 2);
  }
  writer.join();
  EXPECT_EQ(living, 1);
}

TEST(RcuTest, ReadersSeeWholeValuesThatNeverGoBack) {
  std::atomic<int> living{0};
  constexpr int kReaders = 3;
  constexpr int64_t kWrites = 300;
  Rcu<Pair> cell(std::make_unique<const Pair>(1, &living));
  std::atomic<bool> broken{false};
  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      int64_t last = 0;
      while (last < kWrites) {
        EpochGuard guard;
        const Pair* pair = cell.Load();
        if (pair->first != -pair->second || pair->first < last) {
          broken = true;
          return;
        }
        last = pair->first;
      }
    });
  }
  for (int64_t n = 2; n <= kWrites; ++n) {
    cell.Publish(std::make_unique<const Pair>(n, &living));
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_FALSE(broken);
  EXPECT_EQ(living, 1);
}

TEST(RcuMapTest, SetFindEraseAndGrow) {
  RcuMap<int> map;
  for (int i = 0; i < 1000; ++i) {
    map.Set(absl::StrCat("user", i), i);
  }
  EXPECT_EQ(map.size(), 1000U);
  for (int i = 0; i < 1000; i += 2) {
    EXPECT_TRUE(map.Erase(absl::StrCat("user", i)));
  }
  EXPECT_FALSE(map.Erase("user0"));
  map.Set("user1", -1);
  map.Reclaim();
  EpochGuard guard;
  EXPECT_EQ(map.Find("user2"), nullptr);
  EXPECT_EQ(*map.Find("user1"), -1);
  EXPECT_EQ(*map.Find("user999"), 999);
  EXPECT_EQ(map.Find("nobody"), nullptr);
  EXPECT_EQ(map.size(), 500U);
  int64_t sum = 0;
  map.ForEach([&](absl::string_view, int value) { sum += value; });
  EXPECT_EQ(sum, 250000 - 2);  // The odd numbers below 1000, with -1 in the place of 1.
}

TEST(RcuMapTest, SmallVisitsComeByEveryPairInTurn) {
  RcuMap<int> map;
  for (int i = 0; i < 100; ++i) {
    map.Set(absl::StrCat("user", i), i);
  }
  map.Erase("user7");
  for (int pass = 0; pass < 2; ++pass) {
    std::map<int, int> visits;
    for (int slots = 256; slots > 0; slots -= 8) {  // The table has 256: a hundred keys, at most half full.
      map.VisitNext(8, [&](absl::string_view, int value) { ++visits[value]; });
    }
    EXPECT_EQ(visits.size(), 99U);
    EXPECT_FALSE(visits.contains(7));
    for (const auto& [value, count] : visits) {
      EXPECT_EQ(count, 1) << value;
    }
  }
  int visited = 0;
  map.VisitNext(1000, [&](absl::string_view, int) { ++visited; });
  EXPECT_EQ(visited, 99);  // More than there are is all of them, once.
}

TEST(RcuMapTest, SlotsOfErasedKeysAreUsedAgain) {
  RcuMap<int> map;
  for (int i = 0; i < 100000; ++i) {  // Would need 200,000 slots if erased ones stayed taken: the table is rebuilt small.
    map.Set(absl::StrCat("user", i), i);
    EXPECT_TRUE(map.Erase(absl::StrCat("user", i)));
    map.Reclaim();
  }
  EXPECT_EQ(map.size(), 0U);
}

TEST(RcuMapTest, ReadersFindEveryStandingKeyWhileTheWriterChangesOthers) {
  std::atomic<int> living{0};
  {
    RcuMap<Pair> map;
    map.Set("standing", Pair(1, &living));
    std::atomic<bool> done{false};
    std::atomic<bool> broken{false};
    std::vector<std::thread> readers;
    for (int r = 0; r < 3; ++r) {
      readers.emplace_back([&] {
        int64_t last = 0;
        bool once_more = true;
        while (once_more) {
          once_more = !done;
          EpochGuard guard;
          const Pair* standing = map.Find("standing");
          const Pair* passing = map.Find("user7");
          if (standing == nullptr || standing->first != -standing->second || standing->first < last ||
              (passing != nullptr && passing->first != -passing->second)) {
            broken = true;
            return;
          }
          last = standing->first;
        }
      });
    }
    for (int64_t n = 2; n < 3000; ++n) {
      map.Set("standing", Pair(n, &living));
      map.Set(absl::StrCat("user", n % 500), Pair(n, &living));
      if (n % 3 == 0) {
        map.Erase(absl::StrCat("user", (n * 7) % 500));
      }
      map.Reclaim();
    }
    done = true;
    for (std::thread& reader : readers) {
      reader.join();
    }
    EXPECT_FALSE(broken);
  }
  EXPECT_EQ(living, 0);
}

}  // namespace
}  // namespace tributary
