// The three layers on a real Kafka while processes and the broker are killed, stopped and doubled at random moments under
// bad traffic. In the end everything that is served is what the plain reference (tests/reference) makes of the log: every
// total to the unit, every dead letter once, nothing recommended that was bought or is disliked.
//
// TRIBUTARY_SEED=N repeats the order of events and faults (not their timing); TRIBUTARY_CHAOS_FAULTS=N makes it longer.
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/chaos/broker.h"
#include "tests/chaos/traffic.h"
#include "tests/integration/installation.h"
#include "tests/integration/topic_admin.h"
#include "tests/reference/random_events.h"
#include "tests/reference/reference.h"
#include "tests/reference/seed.h"
#include "tributary/v1/dead_letter.pb.h"

namespace tributary::chaos {
namespace {

using integration::Await;
using integration::Installation;
using integration::Process;
using reference::Place;
using reference::Reference;

constexpr int kPartitions = 3;
constexpr int64_t kEventsPerFault = 400;
constexpr int64_t kDayMs = 24LL * 3600 * 1000;

int64_t Faults() {
  const char* given = std::getenv("TRIBUTARY_CHAOS_FAULTS");
  return given == nullptr ? 14 : std::stoll(given);
}

// All committed records of a topic, by partition and offset.
std::vector<LogRecord> ReadAll(EventLog& log, const std::string& topic) {
  const int partitions = log.PartitionCount(topic).value();
  const auto reader = log.OpenReader(Isolation::kCommitted);
  CHECK(reader.ok()) << reader.status();
  std::set<PartitionId> reading;
  for (int p = 0; p < partitions; ++p) {
    reading.insert(PartitionId{p});
    CHECK((*reader)->Start({topic, PartitionId{p}}, Offset{0}).ok());
  }
  std::map<std::pair<PartitionId, Offset>, LogRecord> records;
  Await(absl::StrCat("the end of ", topic), [&] {
    const auto polled = (*reader)->Poll(absl::Milliseconds(100), 10'000);
    CHECK(polled.ok()) << polled.status();
    for (const LogEvent& event : *polled) {
      if (const auto* record = std::get_if<LogRecord>(&event)) {
        records[{record->source.partition, record->offset}] = *record;
      } else if (const auto* end = std::get_if<EndOfPartition>(&event)) {
        reading.erase(end->source.partition);
      }
    }
    return reading.empty();
  });
  std::vector<LogRecord> in_order;
  for (auto& [place, record] : records) {
    in_order.push_back(std::move(record));
  }
  return in_order;
}

class ChaosTest : public ::testing::Test {
 protected:
  // Before any installation: the fixture of Kafka takes its broker from there.
  static void SetUpTestSuite() {
    broker_ = std::make_unique<Broker>();
    setenv("TRIBUTARY_TEST_BROKER", broker_->address().c_str(), 1);
  }
  static void TearDownTestSuite() { broker_.reset(); }

  void Start() {
    serving_ = installation_.StartServing();
    for (int i = 0; i < 2; ++i) {
      speed_.push_back(StartSpeed(i));
    }
  }

  // One fault, and what a supervisor would do after it.
  void Fault() {
    const auto kind = Pick(9);
    const auto instance = static_cast<size_t>(Pick(2));
    switch (kind) {
      case 0:
      case 1:
        LOG(INFO) << "chaos: kill -9 of speed-" << instance;
        Kill(*speed_[instance]);
        break;
      case 2:
        Freeze(instance);
        break;
      case 3:
        Double(instance);
        break;
      case 4:
        LOG(INFO) << "chaos: kill -9 of the broker";
        broker_->Kill();
        broker_->Start();
        break;
      case 5:
        LOG(INFO) << "chaos: kill -9 of serving";
        Kill(*serving_);
        serving_ = installation_.StartServing();
        break;
      case 6:
        LOG(INFO) << "chaos: a batch run";
        installation_.RunBatch();
        ++generations_;
        break;
      case 7:
        KillBatch();
        break;
      case 8:
        DeleteLocalStore();
        break;
    }
    Supervise();
  }

  // Stands still until the group has given its partitions away, then goes on as if nothing had been.
  void Freeze(size_t instance) {
    LOG(INFO) << "chaos: speed-" << instance << " stands still for longer than its session";
    speed_[instance]->Signal(SIGSTOP);
    const absl::Time until = absl::Now() + absl::Seconds(8);   // session_timeout_ms of the installation, and some.
    Await("the session's end", [&] { return absl::Now() >= until; });
    speed_[instance]->Signal(SIGCONT);
  }

  // Two processes of one name: one of them must give way.
  void Double(size_t instance) {
    LOG(INFO) << "chaos: a second speed-" << instance;
    auto second = StartSpeed(static_cast<int>(instance));
    Await("one of two of a name ends", [&] { return !speed_[instance]->Running() || !second->Running(); });
    if (!speed_[instance]->Running()) {
      EXPECT_NE(speed_[instance]->Wait(), 0);
      speed_[instance] = std::move(second);
    } else {
      EXPECT_NE(second->Wait(), 0);
    }
  }

  void KillBatch() {
    LOG(INFO) << "chaos: kill -9 of a batch run";
    const size_t before = ReadText(installation_.dir() + "/batch.log").size();
    const auto batch = installation_.StartBatch();
    const int64_t bytes = Pick(3000);
    Await("the batch run has said some of it", [&] {
      return !batch->Running() || static_cast<int64_t>(batch->Log().size() - before) > bytes;
    });
    Kill(*batch);
  }

  static void Kill(Process& process) {
    process.Signal(SIGKILL);
    process.Wait();
  }

  // The second one has so little memory that most users are on its disk.
  std::unique_ptr<Process> StartSpeed(int instance) {
    std::vector<std::string> arguments;
    if (instance == 1) {
      arguments = {"--memory-budget", "64K", "--set", absl::StrCat("speed { local_store_dir: '", LocalStoreDir(), "' }")};
    }
    return installation_.StartSpeed(absl::StrCat("speed-", instance), arguments);
  }
  std::string LocalStoreDir() const { return installation_.dir() + "/local"; }

  // The directory is a cache, which an operator may delete.
  void DeleteLocalStore() {
    LOG(INFO) << "chaos: the local store of speed-1 is deleted";
    std::filesystem::remove_all(LocalStoreDir());
  }

  // Serving and both instances go on with one partition more, on which there is something at once.
  void AddPartition() {
    LOG(INFO) << "chaos: a partition is added";
    for (const char* topic : {"speed-views", "live-counts", "events"}) {
      AddPartitions(broker_->address(), installation_.topic(topic), kPartitions + 1);
    }
    auto producer = installation_.log().OpenProducer();
    ASSERT_TRUE(producer.ok()) << producer.status();
    reference::RandomEvents events(random_, 40, 60);
    for (int i = 0; i < 300; ++i) {
      const auto produced =
          (*producer)->Produce({.topic = installation_.topic("events"),
                                .partition = PartitionId{kPartitions},
                                .key = "",
                                .value = events.Value(events.User(), absl::ToUnixMillis(absl::Now()))},
                               absl::Seconds(30));
      ASSERT_TRUE(produced.ok()) << produced.status();
    }
  }

  // Starts what has ended, as systemd would.
  void Supervise() {
    for (size_t i = 0; i < speed_.size(); ++i) {
      if (!speed_[i]->Running()) {
        speed_[i] = StartSpeed(static_cast<int>(i));
      }
    }
    if (!serving_->Running()) {
      ADD_FAILURE() << "serving ended by itself: " << serving_->Log();
      serving_ = installation_.StartServing();
    }
  }

  Reference ReadReference() {
    Reference reference;
    for (const LogRecord& record : ReadAll(installation_.log(), installation_.topic("events"))) {
      reference.Add({.partition = Value(record.source.partition),
                     .offset = Value(record.offset),
                     .append_time_unix_ms = record.append_time_unix_ms,
                     .value = record.value.value_or("")});
    }
    return reference;
  }

  void ExpectTotals(const Reference& reference) {
    std::map<reference::TotalKey, reference::Totals> expected = reference.AllTotals();
    std::map<v1::Measure, std::vector<std::string>> keys;
    int64_t events = 0;
    for (const auto& [key, totals] : expected) {
      if (std::get<0>(key) == v1::OVERALL) {
        events += totals.events;
        keys[v1::OVERALL];
      } else if (auto& of_measure = keys[std::get<0>(key)];
                 of_measure.empty() || of_measure.back() != std::get<1>(key)) {
        of_measure.push_back(std::get<1>(key));
      }
    }
    installation_.AwaitCounted(events);
    std::map<reference::TotalKey, reference::Totals> served;
    for (const auto& [measure, of_measure] : keys) {
      const v1::TotalsResponse response = installation_.Totals(measure, of_measure);
      for (const v1::Total& total : response.totals()) {
        served[{measure, total.key(), total.type()}] = {total.events(), total.quantity_micros(), total.value_micros()};
      }
    }
    EXPECT_EQ(served.size(), expected.size());
    for (const auto& [key, totals] : expected) {
      EXPECT_EQ(served[key], totals) << v1::Measure_Name(std::get<0>(key)) << " '" << std::get<1>(key) << "' "
                                     << v1::EventType_Name(std::get<2>(key)) << ": " << served[key].events
                                     << " events instead of " << totals.events;
    }
  }

  void ExpectSuppressed(const Reference& reference) {
    constexpr int64_t kAlways = std::numeric_limits<int64_t>::max();
    const int64_t now = absl::ToUnixMillis(absl::Now());
    for (const std::string& user : reference.Users()) {
      // A user with too many facts is outside the promise, and is told so.
      const v1::RecommendResponse response = installation_.Recommend(user, 100);
      const auto& degraded = response.freshness().degraded();
      if (std::find(degraded.begin(), degraded.end(), v1::TRUNCATED_USER) != degraded.end()) {
        continue;
      }
      std::set<std::string> unwanted = reference.Bought(user, kAlways, now - 30 * kDayMs + kDayMs / 24);
      unwanted.merge(reference.Disliked(user, kAlways, 2'000'000));
      for (const v1::RecommendedItem& item : response.items()) {
        EXPECT_FALSE(unwanted.contains(item.item_id())) << user << " is recommended " << item.item_id();
      }
    }
  }

  void ExpectDeadLetters(const Reference& reference) {
    std::map<Place, int> letters;
    for (const LogRecord& record : ReadAll(installation_.log(), installation_.topic("dead-letters"))) {
      v1::DeadLetter letter;
      ASSERT_TRUE(letter.ParseFromString(*record.value));
      ++letters[{letter.source().partition(), letter.source().offset()}];
    }
    int64_t rejected = 0;
    for (const auto& [place, verdict] : reference.verdicts()) {
      rejected += verdict == reference::Verdict::kRejected;
      EXPECT_EQ(letters[place], verdict == reference::Verdict::kRejected ? 1 : 0)
          << "dead letters of " << place.partition << ":" << place.offset;
    }
    EXPECT_GT(rejected, 0);
  }

  int64_t Pick(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }

  static std::unique_ptr<Broker> broker_;

  const uint64_t seed_ = reference::TestSeed(std::random_device()());
  std::mt19937_64 random_{seed_};
  Installation installation_{"chaos", kPartitions};
  std::unique_ptr<Process> serving_;
  std::vector<std::unique_ptr<Process>> speed_;
  int generations_ = 0;
};

std::unique_ptr<Broker> ChaosTest::broker_;

TEST_F(ChaosTest, NothingIsLostOrCountedTwiceWhateverIsKilled) {
  Start();
  const int64_t faults = Faults();
  {
    Traffic traffic(installation_.log(), {.topic = installation_.topic("events"),
                                          .partitions = kPartitions,
                                          .seed = seed_,
                                          .events = faults * kEventsPerFault});
    for (int64_t fault = 1; fault <= faults; ++fault) {
      const int64_t at = (fault - 1) * kEventsPerFault + Pick(kEventsPerFault);
      Await("more traffic", [&] { return traffic.sent() >= at || traffic.done(); });
      if (fault == (faults + 1) / 2) AddPartition();
      Fault();
    }
    Await("the end of the traffic", [&] { return traffic.done(); });
  }
  Supervise();
  installation_.AwaitCaughtUp();
  const Reference reference = ReadReference();
  LOG(INFO) << "chaos: " << reference.verdicts().size() << " records, " << faults << " faults, " << generations_
            << " batch runs";
  ExpectTotals(reference);
  ExpectSuppressed(reference);
  ExpectDeadLetters(reference);

  // And once more from a snapshot that has it all.
  const int64_t before = installation_.Recommend("user-0").freshness().generation();
  installation_.RunBatch();
  Await("the last snapshot serves", [&] {
    return installation_.Recommend("user-0").freshness().generation() > before;
  });
  ExpectTotals(reference);
  ExpectSuppressed(reference);
}

// What is started meanwhile cannot write files of more than 4 MiB, which is less than RocksDB writes at a time: to it the
// disk is full.
class FullDisk {
 public:
  FullDisk() {
    PCHECK(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit small{.rlim_cur = 4 << 20, .rlim_max = before_.rlim_max};
    PCHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FullDisk() {
    PCHECK(setrlimit(RLIMIT_FSIZE, &before_) == 0);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*signal_)(int) = nullptr;
};

// Users stay in memory over the budget, as the README of the speed layer says; the instance lives, and so does the next one.
TEST_F(ChaosTest, AFullDiskUnderTheLocalStoreLosesNothing) {
  constexpr int kUsers = 200;
  constexpr int kItems = 30;
  constexpr int kBatch = 500;
  const auto start = [&] {
    const FullDisk full_disk;
    return StartSpeed(1);
  };
  serving_ = installation_.StartServing();
  speed_.push_back(start());
  auto producer = installation_.log().OpenProducer();
  ASSERT_TRUE(producer.ok()) << producer.status();
  const auto publish = [&] {
    for (int n = 0; n < kBatch; ++n) {
      constexpr v1::EventType kTypes[] = {v1::VIEW, v1::VIEW, v1::PURCHASE, v1::RETURN, v1::LIKE, v1::DISLIKE};
      const int64_t user = Pick(kUsers);
      v1::Event event;
      event.set_user_id(absl::StrCat("user-", user));
      event.set_type(kTypes[Pick(std::size(kTypes))]);
      event.set_item_id(absl::StrCat("item-", Pick(kItems), std::string(200, '-')));
      event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
      const ProduceRecord record{.topic = installation_.topic("events"),
                                 .partition = PartitionId{static_cast<int>(user % kPartitions)},
                                 .key = event.user_id(),
                                 .value = event.SerializeAsString()};
      ASSERT_TRUE((*producer)->ProduceAsync(record).ok());
    }
    ASSERT_TRUE((*producer)->Flush(absl::Seconds(30)).ok());
  };
  const auto is_full = [&] { return absl::StrContains(speed_[0]->Log(), "users stay in memory over the budget"); };
  Await("the disk is full", [&] {
    publish();
    return is_full() || HasFatalFailure();
  });
  installation_.RunBatch();
  publish();
  installation_.AwaitCaughtUp();
  EXPECT_TRUE(speed_[0]->Running()) << speed_[0]->Log();
  Kill(*speed_[0]);
  speed_[0] = start();
  publish();
  installation_.AwaitCaughtUp();
  EXPECT_TRUE(speed_[0]->Running()) << speed_[0]->Log();
  const Reference reference = ReadReference();
  ExpectTotals(reference);
  ExpectSuppressed(reference);
}

// Offsets begin anew: what is known of the old ones would be applied to others.
TEST_F(ChaosTest, ATopicMadeAnewStopsTheInstancesLoudly) {
  Start();
  {
    Traffic traffic(installation_.log(), {.topic = installation_.topic("events"),
                                          .partitions = kPartitions,
                                          .seed = seed_,
                                          .events = 200,
                                          .bot_events = 0});
    Await("the traffic", [&] { return traffic.done(); });
  }
  installation_.AwaitCaughtUp();
  const std::string events = installation_.topic("events");
  DeleteTopic(broker_->address(), events);
  Await("the topic is there anew", [&] {
    return installation_.log().CreateTopics({TopicOptions{.name = events, .partitions = kPartitions}}).ok() &&
           installation_.log().PartitionCount(events).ok();
  });
  for (size_t i = 0; i < speed_.size(); ++i) {
    Await("an instance ends", [&] { return !speed_[i]->Running(); });
    EXPECT_NE(speed_[i]->Wait(), 0);
    EXPECT_THAT(speed_[i]->Log(), ::testing::HasSubstr("created anew"));
    speed_[i] = StartSpeed(static_cast<int>(i));  // And the next one does as well.
    Await("its successor ends", [&] { return !speed_[i]->Running(); });
    EXPECT_NE(speed_[i]->Wait(), 0);
  }
  EXPECT_TRUE(serving_->Running());
}

}  // namespace
}  // namespace tributary::chaos
