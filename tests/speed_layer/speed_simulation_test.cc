#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "speed_layer/speed_layer.h"
#include "tests/reference/random_log.h"
#include "tests/reference/reference.h"
#include "tests/reference/seed.h"
#include "tests/speed_layer/speed_harness.h"

// Random logs, and everything that can happen to the instances and the broker at random moments, held against the plain
// reference. The same seed gives the same run.
namespace tributary::speed {
namespace {

using Operation = FakeEventLog::Operation;
using When = FakeEventLog::When;

constexpr int kPartitions = 3;
constexpr int kRuns = 60;
const std::string kGroup = "tributary-speed";

// (user, partition, offset, kind, item, event time, value): what two sides must agree on.
using PlainFact = std::tuple<std::string, int32_t, int64_t, v1::EventType, std::string, int64_t, int64_t>;

class Simulation {
 public:
  explicit Simulation(uint64_t seed, bool floors)
      : harness_(kPartitions), random_(seed), seed_(seed), floors_(floors), layers_(2) {
    harness_.config.mutable_speed()->set_checkpoint_ms(40);
    if (Pick(2)) harness_.max_poll_events = 1 + Pick(4);  // There is a backlog most of the time.
    if (Pick(2)) harness_.config.mutable_speed()->set_memory_budget_bytes(Pick(2) ? 1 : 4000);
  }

  void Run() {
    const auto raw =
        reference::MakeRandomLog({.seed = seed_, .partitions = kPartitions, .records = 400, .imported = 0});
    for (const reference::RawRecord& record : raw) {
      harness_.broker_clock.Set(
          std::max(harness_.broker_clock.Now(), absl::FromUnixMillis(record.append_time_unix_ms)));
      harness_.PublishBytes("key", record.value, record.partition);
      while (Pick(3) == 0) Disturb();
      for (size_t i = 0; i < layers_.size(); ++i) Step(i);
    }
    harness_.log.ReleaseAllMarkers();
    for (int i = 0; i < kPartitions; ++i) {
      for (const char* topic : {"events", "speed-views", "live-counts"}) {
        harness_.log.ReleasePartition({topic, PartitionId{i}});
        harness_.log.ReleaseMarkers({topic, PartitionId{i}});
      }
    }
    // Both go for good, as one that lives may learn very late that it was fenced: the broker ends their sessions and what
    // they had open.
    for (size_t i = 0; i < layers_.size(); ++i) {
      layers_[i].reset();
      harness_.log.ExpireMember(kGroup, absl::StrCat("instance", i));
      harness_.ExpireTransactions(absl::StrCat("instance", i));
    }
    while (!layers_[0]) Start(0);
    ASSERT_NE(layers_[0], nullptr);
    harness_.Settle({layers_[0].get()});
  }

  void Check() {
    std::vector<reference::RawRecord> records;
    for (int partition = 0; partition < kPartitions; ++partition) {
      for (const LogRecord& record : harness_.log.Records({"events", PartitionId{partition}}, Isolation::kCommitted)) {
        records.push_back({partition, Value(record.offset), record.append_time_unix_ms, *record.value});
      }
    }
    const reference::Reference reference(records);
    CheckTotals(reference, records);
    CheckFacts(reference, Isolation::kCommitted);
    CheckFacts(reference, Isolation::kUncommitted);
    if (!floors_) CheckCounts(reference);
  }

 private:
  int Pick(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }

  void Start(size_t i) {
    auto layer = harness_.Open(absl::StrCat("instance", i));
    if (layer.ok()) layers_[i] = *std::move(layer);
  }
  void Step(size_t i) {
    if (!layers_[i] && Pick(4) == 0) Start(i);
    if (layers_[i] && !harness_.Round(*layers_[i]).ok())
      layers_[i].reset();  // Fenced, for one: as its supervisor would.
  }

  void Disturb() {
    const size_t i = static_cast<size_t>(Pick(2));
    const PartitionId partition{Pick(kPartitions)};
    const std::string topic = Pick(2) ? "speed-views" : "live-counts";
    switch (Pick(14)) {
      case 0:
        layers_[i].reset();
        break;
      case 1:
        harness_.log.ExpireMember(kGroup, absl::StrCat("instance", i));
        break;
      case 2:
        harness_.log.Rebalance(kGroup);
        break;
      case 3:
        harness_.log.FailNext(Operation::kCommit, 1, absl::AbortedError("injected"));
        break;
      case 4:
        harness_.log.FailNext(Operation::kCommit, 1, absl::UnavailableError("injected"),
                              Pick(2) ? When::kInstead : When::kAfter);
        break;
      case 5:
        harness_.log.FailNext(Operation::kPoll, 1 + Pick(3), absl::UnavailableError("injected"));
        break;
      case 6:
        harness_.log.DelayMarkers({topic, partition});
        break;
      case 7:
        harness_.log.ReleaseAllMarkers();
        harness_.log.ReleaseMarkers({topic, partition});
        break;
      case 8:
        harness_.log.Compact(topic);
        break;
      case 9:
        harness_.ExpireTransactions(absl::StrCat("instance", i));
        break;
      case 10:
        harness_.log.HoldPartition({Pick(2) ? "events" : topic, partition});
        break;
      case 11:
        for (const char* held : {"events", "speed-views", "live-counts"})
          harness_.log.ReleasePartition({held, partition});
        break;
      case 12:
        if (floors_) Announce();
        break;
      case 13:
        harness_.clock.Advance(absl::Seconds(Pick(3)));
        break;
    }
  }

  // A new snapshot up to some offsets that are there; sometimes the oldest is retired.
  void Announce() {
    v1::SnapshotAnnouncement announcement;
    announcement.set_generation(++generation_);
    announcement.set_status(v1::ACTIVATED);
    for (int partition = 0; partition < kPartitions; ++partition) {
      const auto range = harness_.log.Offsets({"events", PartitionId{partition}}, Isolation::kCommitted);
      if (!range.ok()) return;
      int64_t& watermark = watermarks_[partition];
      watermark += Pick(static_cast<int>(Value(range->end) - watermark) + 1);
      v1::PartitionWatermark* mark = announcement.add_watermarks();
      mark->set_partition(partition);
      mark->set_watermark(watermark);
      mark->set_record_time_unix_ms(absl::ToUnixMillis(harness_.broker_clock.Now()));
    }
    harness_.Announce(announcement);
    if (generation_ > 1 && Pick(2)) harness_.Announce(Announcement(generation_ - 1, v1::RETIRED, 0));
  }

  void CheckTotals(const reference::Reference& reference, const std::vector<reference::RawRecord>& records) {
    std::set<std::pair<int64_t, int64_t>> rejected;
    std::map<int32_t, std::map<reference::Verdict, int64_t>> wanted;
    for (const reference::RawRecord& record : records) {
      const reference::Verdict verdict = reference.VerdictOf({record.partition, record.offset});
      ++wanted[record.partition][verdict];
      if (verdict == reference::Verdict::kRejected) rejected.emplace(record.partition, record.offset);
    }
    std::multiset<std::pair<int64_t, int64_t>> letters;
    for (const v1::DeadLetter& letter : harness_.DeadLetters())
      letters.emplace(letter.source().partition(), letter.source().offset());
    // With floors and no progress yet, records that are too old to matter may be passed over.
    if (!floors_) {
      EXPECT_TRUE(std::equal(letters.begin(), letters.end(), rejected.begin(), rejected.end()));
      for (int32_t partition = 0; partition < kPartitions; ++partition) {
        const v1::Progress progress = *harness_.Progress(partition);
        EXPECT_EQ(progress.accepted(), wanted[partition][reference::Verdict::kAccepted]) << partition;
        EXPECT_EQ(progress.duplicates(), wanted[partition][reference::Verdict::kDuplicate]) << partition;
        EXPECT_EQ(progress.dead_lettered(), wanted[partition][reference::Verdict::kRejected]) << partition;
      }
    }
    EXPECT_EQ(std::set(letters.begin(), letters.end()).size(), letters.size()) << "a dead letter came twice";
  }

  // What serving would hold: of uncommitted records, too, those whose position is greater than what it has.
  std::map<std::string, v1::SpeedView> Followed(int partition, Isolation isolation) {
    using Position = std::tuple<int64_t, int32_t, int64_t>;
    std::map<std::string, std::pair<Position, v1::SpeedView>> held;
    for (const LogRecord& record : harness_.log.Records({"speed-views", PartitionId{partition}}, isolation)) {
      if (record.key == kProgressKey) continue;
      v1::SpeedView view;
      if (record.value) {
        EXPECT_TRUE(view.ParseFromString(*record.value));
      } else {
        EXPECT_TRUE(view.mutable_position()->ParseFromString(record.headers.at(0).second));
      }
      const Position position{view.position().applied_offset(), view.position().group_generation(),
                              view.position().floor()};
      auto& [have, kept] = held[record.key];
      if (position > have) {
        have = position;
        kept = std::move(view);
      } else if (isolation == Isolation::kCommitted) {
        ADD_FAILURE() << "a committed position does not rise: partition=" << partition
                      << " offset=" << Value(record.offset);
      }
    }
    std::map<std::string, v1::SpeedView> views;
    for (auto& [user, entry] : held) views[user] = std::move(entry.second);
    return views;
  }

  void CheckFacts(const reference::Reference& reference, Isolation isolation) {
    std::map<int32_t, int64_t> floors;
    std::set<PlainFact> got;
    for (int partition = 0; partition < kPartitions; ++partition) {
      floors[partition] = harness_.Progress(partition)->position().floor();
      for (const auto& [user, view] : Followed(partition, isolation)) {
        const auto forgotten = reference.ForgottenUntil(user);
        for (const v1::Fact& fact : view.facts()) {
          if (fact.offset() < floors[partition] || fact.kind() == v1::FORGET) continue;
          if (forgotten && fact.event_time_unix_ms() <= *forgotten) continue;  // By a FORGET on another partition.
          got.emplace(user, partition, fact.offset(), fact.kind(), fact.item_id(), fact.event_time_unix_ms(),
                      fact.value_micros());
        }
      }
    }
    std::set<PlainFact> wanted;
    for (const std::string& user : reference.Users()) {
      for (const reference::Fact& fact : reference.Facts(user)) {
        if (fact.when.place.offset < floors[fact.when.place.partition] || fact.kind == v1::FORGET) continue;
        wanted.emplace(user, fact.when.place.partition, fact.when.place.offset, fact.kind, fact.item_id,
                       fact.when.event_time_unix_ms, fact.value_micros);
      }
    }
    EXPECT_EQ(got, wanted) << (isolation == Isolation::kCommitted ? "committed" : "uncommitted");
  }

  void CheckCounts(const reference::Reference& reference) {
    std::map<reference::TotalKey, reference::Totals> got;
    for (int partition = 0; partition < kPartitions; ++partition) {
      for (const auto& [key, record] : harness_.Latest("live-counts", partition)) {
        v1::LiveCounts counts;
        ASSERT_TRUE(counts.ParseFromString(*record.value));
        for (const v1::CountDelta& delta : counts.deltas()) {
          reference::Totals& totals = got[{delta.measure(), delta.key(), delta.type()}];
          totals.events += delta.events();
          totals.quantity_micros += delta.quantity_micros();
          totals.value_micros += delta.value_micros();
        }
      }
    }
    EXPECT_EQ(got, reference.AllTotals());
  }

  SpeedHarness harness_;
  std::mt19937_64 random_;
  const uint64_t seed_;
  const bool floors_;
  std::vector<std::unique_ptr<SpeedLayer>> layers_;
  int64_t generation_ = 0;
  std::map<int, int64_t> watermarks_;
};

void RunAll(bool floors) {
  const uint64_t first = reference::TestSeed();
  for (uint64_t seed = first; seed < first + kRuns; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed=", seed));
    Simulation simulation(seed, floors);
    simulation.Run();
    if (::testing::Test::HasFatalFailure()) return;
    simulation.Check();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(SpeedSimulationTest, WhateverHappensTheFactsCountsAndTotalsAreThoseOfTheReference) { RunAll(/*floors=*/false); }

TEST(SpeedSimulationTest, WithSnapshotsComingAndGoingNoFactAtOrAboveTheFloorIsMissing) { RunAll(/*floors=*/true); }

}  // namespace
}  // namespace tributary::speed
