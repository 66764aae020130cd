// The three processes on a real Kafka: the seam between snapshot and live side, swaps, rollback, and kill -9.
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/sync/mutex.h"
#include "tests/integration/installation.h"

namespace tributary::integration {
namespace {

constexpr int kUsers = 24;
constexpr int kItems = 40;

std::string User(int n) { return absl::StrCat("user-", n); }
std::string ItemId(int n) { return absl::StrCat("item-", n); }

std::set<std::string> ItemIds(const v1::RecommendResponse& response) {
  std::set<std::string> ids;
  for (const auto& item : response.items()) {
    ids.insert(item.item_id());
  }
  return ids;
}

// What the test itself knows of what it published: the answers are held against this.
class Ledger {
 public:
  explicit Ledger(Installation& installation) : installation_(installation) {}

  v1::PublishResponse Publish(int user, v1::EventType type, int item, int value = 0) {
    const auto response = installation_.Publish(User(user), type, ItemId(item), value);
    counts_[type] += 1;
    micros_[type] += int64_t{value} * 1'000'000;
    item_counts_[{ItemId(item), type}] += 1;
    if (type == v1::PURCHASE || type == v1::DISLIKE) {
      suppressed_[user].insert(ItemId(item));
    }
    if (type == v1::RETURN) {
      suppressed_[user].erase(ItemId(item));
    }
    return response;
  }

  // Users come in two groups of taste, so that the model has something to learn. Items that are bought are from the
  // upper half of the group's items, disliked ones are bought by nobody.
  void PublishTraffic(int events) {
    for (int n = 0; n < events; ++n) {
      const int user = Uniform(kUsers);
      const int item = (user % 2) * (kItems / 2) + Uniform(kItems / 2 - 4);
      const int kind = Uniform(10);
      if (kind < 7) {
        Publish(user, v1::VIEW, item);
      } else if (kind < 9) {
        Publish(user, v1::ADD_TO_CART, item);
      } else {
        Publish(user, v1::PURCHASE, item, 1 + Uniform(9));
      }
    }
  }

  // Every total, to the unit, and no suppressed item in any answer.
  void ExpectServed() {
    const auto overall = installation_.Totals(v1::OVERALL);
    std::map<v1::EventType, int64_t> counts;
    std::map<v1::EventType, int64_t> micros;
    for (const auto& total : overall.totals()) {
      counts[total.type()] = total.events();
      if (total.value_micros() != 0) {
        micros[total.type()] = total.value_micros();
      }
    }
    std::erase_if(micros_, [](const auto& entry) { return entry.second == 0; });
    EXPECT_EQ(counts, counts_);
    EXPECT_EQ(micros, micros_);
    ExpectItemTotals();
    ExpectSuppressed();
  }

  void ExpectItemTotals() {
    std::vector<std::string> keys;
    for (int item = 0; item < kItems; ++item) {
      keys.push_back(ItemId(item));
    }
    std::map<std::pair<std::string, v1::EventType>, int64_t> counts;
    const v1::TotalsResponse by_item = installation_.Totals(v1::BY_ITEM, keys);
    for (const auto& total : by_item.totals()) {
      counts[{total.key(), total.type()}] = total.events();
    }
    EXPECT_EQ(counts, item_counts_);
  }

  void ExpectSuppressed() {
    for (const auto& [user, items] : suppressed_) {
      const auto served = ItemIds(installation_.Recommend(User(user), 100));
      for (const std::string& item : items) {
        EXPECT_FALSE(served.contains(item)) << User(user) << " was offered " << item << " again";
      }
    }
  }

  int64_t events() const {
    int64_t sum = 0;
    for (const auto& [type, count] : counts_) {
      sum += count;
    }
    return sum;
  }

 private:
  int Uniform(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  Installation& installation_;
  std::mt19937 random_{20261122};
  std::map<v1::EventType, int64_t> counts_;
  std::map<v1::EventType, int64_t> micros_;
  std::map<std::pair<std::string, v1::EventType>, int64_t> item_counts_;
  std::map<int, std::set<std::string>> suppressed_;
};

// Asks for totals and a suppressed user's list all the time, from a thread of its own, and keeps what differs: a total
// or a suppression that flickers while a snapshot is swapped shows here.
class FlickerWatch {
 public:
  FlickerWatch(Installation& installation, int64_t events, std::string user, std::string suppressed)
      : installation_(installation), events_(events), user_(std::move(user)), suppressed_(std::move(suppressed)),
        thread_([this] { Watch(); }) {}

  // Answers how many looks there were; stops.
  int Stop() {
    stop_.store(true);
    thread_.join();
    EXPECT_THAT(findings_, ::testing::IsEmpty());
    return looks_;
  }

 private:
  void Watch() {
    while (!stop_.load()) {
      const auto totals = installation_.Totals(v1::OVERALL);
      const int64_t sum = SumOfEvents(totals);
      if (sum != events_) {
        findings_.push_back(absl::StrCat("total ", sum, " of ", events_, " at ", totals.freshness().ShortDebugString()));
      }
      const auto list = installation_.Recommend(user_, 100);
      if (ItemIds(list).contains(suppressed_)) {
        findings_.push_back(absl::StrCat(suppressed_, " is back at ", list.freshness().ShortDebugString()));
      }
      ++looks_;
    }
  }

  Installation& installation_;
  int64_t events_;
  std::string user_;
  std::string suppressed_;
  std::atomic<bool> stop_{false};
  std::vector<std::string> findings_;
  int looks_ = 0;
  std::thread thread_;
};

int64_t UserWatermark(const v1::RecommendResponse& response, int32_t partition) {
  for (const auto& entry : response.freshness().partitions()) {
    if (entry.partition() == partition) {
      return entry.watermark();
    }
  }
  return -1;
}

TEST(SeamTest, NothingIsLostOrCountedTwiceAcrossSnapshotsAndRollback) {
  Installation installation("seam");
  const auto serving = installation.StartServing();
  const auto speed = installation.StartSpeed();
  Ledger ledger(installation);

  // No snapshot yet: the live side answers alone.
  ledger.PublishTraffic(300);
  const auto bought = ledger.Publish(1, v1::PURCHASE, 38, 5);
  EXPECT_EQ(installation.RecommendAfter(bought.token(), User(1)).freshness().generation(), 0);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  // The snapshot takes the events below W over; nothing may change by it, at any moment.
  FlickerWatch first(installation, ledger.events(), User(1), ItemId(38));
  installation.RunBatch();
  installation.AwaitGeneration(1);
  ledger.ExpectServed();
  EXPECT_GT(first.Stop(), 0);

  const auto from_snapshot = installation.Recommend(User(1), 100);
  EXPECT_EQ(from_snapshot.freshness().generation(), 1);
  EXPECT_GT(UserWatermark(from_snapshot, bought.position().partition()), bought.position().offset())
      << "the purchase lies below W: the snapshot answers for it";

  // After W the speed view answers.
  const auto disliked = ledger.Publish(1, v1::DISLIKE, 39);
  const auto returned = ledger.Publish(1, v1::RETURN, 38, 5);
  const auto live = installation.RecommendAfter(returned.token(), User(1), 100);
  EXPECT_LE(UserWatermark(live, disliked.position().partition()), disliked.position().offset());
  EXPECT_FALSE(ItemIds(live).contains(ItemId(39)));
  ledger.PublishTraffic(200);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  // The next snapshot, and back again.
  FlickerWatch second(installation, ledger.events(), User(1), ItemId(39));
  installation.RunBatch();
  installation.AwaitGeneration(2);
  ledger.ExpectServed();
  const Finished rollback = installation.Run("tributary", {"--config", installation.config_path(), "snapshots", "rollback"});
  ASSERT_EQ(rollback.exit_status, 0) << rollback.output;
  installation.AwaitGeneration(1);
  ledger.ExpectServed();
  ASSERT_EQ(installation.Run("tributary", {"--config", installation.config_path(), "snapshots", "activate", "2"}).exit_status,
            0);
  installation.AwaitGeneration(2);
  ledger.ExpectServed();
  EXPECT_GT(second.Stop(), 0);
}

TEST(SeamTest, AnswersAreRightAfterKillingEachLayer) {
  Installation installation("kill");
  auto serving = installation.StartServing();
  auto speed = installation.StartSpeed();
  Ledger ledger(installation);
  ledger.PublishTraffic(200);
  installation.RunBatch();
  installation.AwaitGeneration(1);
  ledger.PublishTraffic(100);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  // Speed, in the middle of traffic; batch answers still come while it is away.
  ledger.PublishTraffic(40);
  speed->Signal(SIGKILL);
  EXPECT_EQ(speed->Wait(), 128 + SIGKILL);
  ledger.PublishTraffic(40);
  EXPECT_FALSE(installation.Recommend(User(2)).items().empty());
  speed = installation.StartSpeed();
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  // A second instance takes over what the first, killed for good, had.
  auto other = installation.StartSpeed("speed-1");
  ledger.PublishTraffic(40);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  speed->Signal(SIGKILL);
  speed->Wait();
  ledger.PublishTraffic(40);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  // Serving: everything it knows comes from files and topics.
  const auto before = ItemIds(installation.Recommend(User(3)));
  serving->Signal(SIGKILL);
  serving->Wait();
  serving = installation.StartServing();
  installation.AwaitGeneration(1);
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();
  EXPECT_EQ(ItemIds(installation.Recommend(User(3))), before);

  // Batch, as soon as it has begun; the next run makes it good.
  auto batch = installation.StartBatch();
  Await("batch writes its log", [&] { return !batch->Log().empty() || !batch->Running(); });
  batch->Signal(SIGKILL);
  batch->Wait();
  ledger.ExpectServed();
  ledger.PublishTraffic(40);
  installation.RunBatch();
  Await("a newer generation serves", [&] { return installation.Recommend(User(0)).freshness().generation() > 1; });
  installation.AwaitCaughtUp();
  installation.AwaitCounted(ledger.events());
  ledger.ExpectServed();

  other->Signal(SIGTERM);
  EXPECT_EQ(other->Wait(), 0) << other->Log();
  serving->Signal(SIGTERM);
  EXPECT_EQ(serving->Wait(), 0) << serving->Log();
}

}  // namespace
}  // namespace tributary::integration
