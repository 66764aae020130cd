#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include "common/counts/counts.h"
#include "common/event/event.h"
#include "common/event/recent_ids.h"
#include "common/user_state/fact.h"
#include "common/user_state/live_user.h"
#include "common/user_state/user_history.h"
#include "tests/reference/random_log.h"
#include "tests/reference/reference.h"
#include "tests/reference/seed.h"
#include "tests/reference/through_event_log.h"

// Runs random logs through the state that both layers share, cut at random watermarks, and compares every answer with
// the plain reference, exactly.
namespace tributary {
namespace {

using reference::Place;
using reference::RawRecord;
using reference::Reference;
using reference::Verdict;

constexpr int64_t kSegmentSize = 16;
constexpr UserLimits kLimits{.facts = 4096};
constexpr int64_t kAlways = int64_t{1} << 60;
constexpr int32_t kPartitions = 3;

using Watermarks = std::map<int32_t, int64_t>;

EventPosition PositionOf(const Place& place) { return {PartitionId{place.partition}, Offset{place.offset}}; }

// Turns item ids into dense numbers and back.
class Items {
 public:
  ItemNumber Number(const std::string& id) {
    const auto [entry, is_new] = numbers_.try_emplace(id, static_cast<uint32_t>(ids_.size()));
    if (is_new) ids_.push_back(id);
    return ItemNumber{entry->second};
  }
  const std::string& Id(ItemNumber number) const { return ids_.at(Value(number)); }

 private:
  std::map<std::string, uint32_t> numbers_;
  std::vector<std::string> ids_;
};

// An event as the batch layer keeps it.
struct HistoryEvent {
  Event event;
  Place place;
  int64_t record_time_unix_ms = 0;
};

// Acceptance as the batch layer does it: validation and the ids of each user and partition, nothing else.
struct BatchHistory {
  std::vector<HistoryEvent> events;
  std::map<Place, Verdict> verdicts;
};

int64_t RecordTime(const RawRecord& record, std::map<int32_t, int64_t>* record_times) {
  if (record.partition < 0) return record.append_time_unix_ms;
  int64_t& latest = (*record_times)[record.partition];
  return latest = std::max(latest, record.append_time_unix_ms);
}

BatchHistory ReadHistory(const std::vector<RawRecord>& records) {
  BatchHistory history;
  std::map<std::pair<std::string, int32_t>, RecentIds> ids;
  std::map<int32_t, int64_t> record_times;
  for (const RawRecord& record : records) {
    const Place place{record.partition, record.offset};
    const int64_t record_time = RecordTime(record, &record_times);
    auto parsed = ParseEvent(record.value, record_time);
    auto* event = std::get_if<Event>(&parsed);
    if (event == nullptr) {
      history.verdicts[place] = Verdict::kRejected;
      continue;
    }
    if (place.partition >= 0) {
      RecentIds& recent = ids[{event->user_id, place.partition}];
      if (recent.Contains(event->event_id_hash, record_time)) {
        history.verdicts[place] = Verdict::kDuplicate;
        continue;
      }
      recent.Add(event->event_id_hash, record_time);
    }
    history.verdicts[place] = Verdict::kAccepted;
    history.events.push_back({*std::move(event), place, record_time});
  }
  return history;
}

// One partition of the speed layer. It trims, writes its views and comes back from them whenever the dice say so.
class LivePartition {
 public:
  explicit LivePartition(uint64_t seed) : random_(seed) {}

  // The floor rises to `floor` in steps.
  Verdict Apply(const RawRecord& record, int64_t record_time, int64_t floor) {
    applied_ = record.offset + 1;
    if (OneIn(20))
      TrimTo(std::uniform_int_distribution<int64_t>(floor_, std::max(floor_, floor))(random_), record_time);
    auto parsed = ParseEvent(record.value, record_time);
    const auto* event = std::get_if<Event>(&parsed);
    if (event == nullptr) return Verdict::kRejected;
    LiveUser& user = users_[event->user_id];
    if (OneIn(5)) user = ThroughView(user);
    if (user.Apply(*event, Offset{record.offset}, record_time, kLimits) == LiveUser::Outcome::kDuplicate) {
      return Verdict::kDuplicate;
    }
    SegmentCounts& counts = segments_[Value(SegmentStart(Offset{record.offset}, kSegmentSize))];
    counts.Add(*event);
    if (OneIn(5)) counts = ThroughMessage(counts);
    return Verdict::kAccepted;
  }

  void TrimTo(int64_t floor, int64_t record_time) {
    floor_ = floor;
    for (auto user = users_.begin(); user != users_.end();) {
      user->second.Trim(Offset{floor}, record_time);
      user = user->second.empty() ? users_.erase(user) : std::next(user);
    }
  }

  std::vector<Fact> FactsOf(const std::string& user) const {
    const auto found = users_.find(user);
    return found == users_.end() ? std::vector<Fact>() : found->second.facts();
  }
  int64_t applied() const { return applied_; }
  const std::map<int64_t, SegmentCounts>& segments() const { return segments_; }

 private:
  bool OneIn(int n) { return std::uniform_int_distribution<int>(1, n)(random_) == 1; }

  static LiveUser ThroughView(const LiveUser& user) {
    v1::SpeedView view;
    user.ToProto(&view);
    auto restored = LiveUser::FromProto(view);
    EXPECT_TRUE(restored.ok()) << restored.status();
    return *std::move(restored);
  }
  static SegmentCounts ThroughMessage(const SegmentCounts& counts) {
    v1::LiveCounts message;
    counts.ToProto(&message);
    auto restored = SegmentCounts::FromProto(message);
    EXPECT_TRUE(restored.ok()) << restored.status();
    return *std::move(restored);
  }

  std::mt19937_64 random_;
  std::map<std::string, LiveUser> users_;
  std::map<int64_t, SegmentCounts> segments_;
  int64_t floor_ = 0;
  int64_t applied_ = 0;
};

bool IsBelow(const Place& place, const Watermarks& watermarks) {
  return place.partition < 0 || place.offset < watermarks.at(place.partition);
}

class StateSimulation {
 public:
  StateSimulation(uint64_t seed, std::vector<RawRecord> records)
      : random_(seed), records_(std::move(records)), reference_(records_), history_(ReadHistory(records_)) {}

  void Run() {
    RunSpeedLayer();
    CompareVerdicts();
    for (int snapshot = 0; snapshot < 4; ++snapshot) {
      Watermarks watermarks;
      for (int32_t p = 0; p < kPartitions; ++p) watermarks[p] = Pick(floors_[p], live_.at(p).applied());
      for (const std::string& user : reference_.Users()) CompareUser(user, watermarks);
      CompareTotals(watermarks);
    }
  }

 private:
  int64_t Pick(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(random_); }

  void RunSpeedLayer() {
    Watermarks ends;
    for (const RawRecord& record : records_) ends[record.partition] = record.offset + 1;
    for (int32_t p = 0; p < kPartitions; ++p) {
      live_.emplace(p, LivePartition(random_()));
      floors_[p] = Pick(0, 4) == 0 ? 0 : Pick(0, ends[p]);
    }
    std::map<int32_t, int64_t> record_times;
    for (const RawRecord& record : records_) {
      const int64_t record_time = RecordTime(record, &record_times);
      if (record.partition < 0) continue;
      live_verdicts_[{record.partition, record.offset}] =
          live_.at(record.partition).Apply(record, record_time, std::min(floors_[record.partition], record.offset));
    }
    for (auto& [p, partition] : live_) partition.TrimTo(floors_[p], record_times[p]);
  }

  void CompareVerdicts() {
    std::set<Verdict> seen;
    for (const RawRecord& record : records_) {
      const Place place{record.partition, record.offset};
      const Verdict expected = reference_.VerdictOf(place);
      seen.insert(expected);
      ASSERT_EQ(history_.verdicts.at(place), expected) << "partition=" << place.partition << " offset=" << place.offset;
      if (place.partition < 0) continue;
      ASSERT_EQ(live_verdicts_.at(place), expected) << "partition=" << place.partition << " offset=" << place.offset;
    }
    ASSERT_EQ(seen.size(), 3u) << "the log is too tame";
  }

  void CompareUser(const std::string& user, const Watermarks& watermarks) {
    SCOPED_TRACE(user);
    // The snapshot's side, and the live side as a request filters it.
    UserHistory combined;
    std::vector<std::pair<Place, Fact>> facts;
    for (const HistoryEvent& e : history_.events) {
      if (e.event.user_id != user || !IsBelow(e.place, watermarks)) continue;
      if (auto fact = FactOf(e.event, Offset{e.place.offset}, e.record_time_unix_ms))
        facts.emplace_back(e.place, *fact);
    }
    Fold(facts, &combined);
    UserHistory live;
    std::vector<std::pair<Place, Fact>> live_facts;
    for (const auto& [p, partition] : live_) {
      for (const Fact& fact : partition.FactsOf(user)) {
        const Place place{p, Value(fact.offset)};
        if (!IsBelow(place, watermarks)) live_facts.emplace_back(place, fact);
      }
    }
    Fold(live_facts, &live);
    combined.Combine(live);
    ASSERT_EQ(combined.forgotten_until_unix_ms(), reference_.ForgottenUntil(user));

    facts.insert(facts.end(), live_facts.begin(), live_facts.end());
    CompareFacts(user, facts, combined);
    CompareDecisions(user, combined);
  }

  void Fold(const std::vector<std::pair<Place, Fact>>& facts, UserHistory* history) {
    for (const auto& [place, fact] : facts) {
      if (fact.item_id.empty() && fact.kind != v1::FORGET) continue;
      history->Apply(fact.kind, items_.Number(fact.item_id), {fact.event_time_unix_ms, PositionOf(place)},
                     fact.value_micros);
    }
  }

  void CompareFacts(const std::string& user, const std::vector<std::pair<Place, Fact>>& facts,
                    const UserHistory& state) {
    std::vector<reference::Fact> visible;
    for (const auto& [place, fact] : facts) {
      if (fact.event_time_unix_ms <= state.forgotten_until_unix_ms().value_or(-1)) continue;
      visible.push_back({fact.kind, fact.item_id, {fact.event_time_unix_ms, place}, fact.value_micros, fact.session_id});
    }
    std::sort(visible.begin(), visible.end(), [](const auto& a, const auto& b) { return a.when.place < b.when.place; });
    ASSERT_EQ(visible, reference_.Facts(user));
  }

  void CompareDecisions(const std::string& user, const UserHistory& state) {
    std::set<std::pair<std::string, EventType>> slots;
    for (const reference::Fact& fact : reference_.Facts(user)) {
      if (!fact.item_id.empty() && IsLongTerm(fact.kind)) slots.emplace(fact.item_id, fact.kind);
    }
    ASSERT_EQ(state.decisions().size(), slots.size());
    std::set<std::string> bought;
    std::set<std::string> disliked;
    for (const Decision& decision : state.decisions()) {
      const std::string& item = items_.Id(decision.item);
      const auto latest = reference_.Latest(user, {decision.kind}, kAlways);
      const auto expected = latest.find(item);
      ASSERT_NE(expected, latest.end()) << item;
      ASSERT_EQ(decision.key, (DecisionKey{expected->second.when.event_time_unix_ms, PositionOf(expected->second.when.place)}))
          << item;
      ASSERT_EQ(decision.value_micros, expected->second.value_micros) << item;
      const absl::Span<const Decision> all = state.Find(decision.item);
      const Decision* trade = LatestOf(all, {v1::PURCHASE, v1::RETURN});
      if (trade != nullptr && trade->kind == v1::PURCHASE) bought.insert(item);
      const Decision* opinion = LatestOf(all, {v1::LIKE, v1::DISLIKE, v1::RATING});
      if (opinion != nullptr && opinion->kind == v1::DISLIKE) disliked.insert(item);
    }
    ASSERT_EQ(bought, reference_.Bought(user, kAlways));
    ASSERT_EQ(disliked, reference_.Disliked(user, kAlways));
  }

  void CompareTotals(const Watermarks& watermarks) {
    std::map<CountKey, CountAmounts> totals;
    std::map<int32_t, SegmentCounts> cuts;
    for (const HistoryEvent& e : history_.events) {
      if (!IsBelow(e.place, watermarks)) continue;
      ForEachCount(e.event, [&](const CountKeyView& key, const CountAmounts& amounts) {
        totals[CountKey{key.measure, std::string(key.key), key.type}] += amounts;
      });
      if (e.place.partition < 0) continue;
      const Offset watermark{watermarks.at(e.place.partition)};
      if (Offset{e.place.offset} >= SegmentStart(watermark, kSegmentSize)) cuts[e.place.partition].Add(e.event);
    }
    for (const auto& [p, partition] : live_) {
      for (const auto& [start, counts] : partition.segments()) {
        std::set<CountKey> keys;
        counts.ForEach([&](const CountKey& key, int64_t, const CountAmounts&) { keys.insert(key); });
        for (const CountKey& key : keys) {
          totals[key] += LiveContribution({Offset{start}, Offset{partition.applied()}, &counts}, kSegmentSize,
                                          Offset{watermarks.at(p)}, cuts[p], key);
        }
      }
    }
    const auto expected = reference_.AllTotals();
    ASSERT_EQ(totals.size(), expected.size());
    for (const auto& [key, amounts] : totals) {
      const reference::Totals& e = expected.at({key.measure, key.key, key.type});
      ASSERT_EQ(amounts, (CountAmounts{e.events, e.quantity_micros, e.value_micros})) << key.measure << " " << key.key;
    }
  }

  std::mt19937_64 random_;
  const std::vector<RawRecord> records_;
  const Reference reference_;
  const BatchHistory history_;
  std::map<int32_t, LivePartition> live_;
  std::map<Place, Verdict> live_verdicts_;
  Watermarks floors_;
  Items items_;
};

std::vector<std::string> ValuesOf(const std::vector<RawRecord>& records, int32_t partition) {
  std::vector<std::string> values;
  for (const RawRecord& record : records) {
    if (record.partition == partition) values.push_back(record.value);
  }
  return values;
}

std::vector<RawRecord> RandomLog(uint64_t seed) {
  return reference::MakeRandomLog({.seed = seed, .partitions = kPartitions});
}

class StateSimulationTest : public testing::Test {
 protected:
  StateSimulationTest() {
    google::protobuf::SetLogHandler(nullptr);  // The reference lets protobuf find the text that is not UTF-8.
  }

  void Run(int runs, std::vector<RawRecord> (*make_log)(uint64_t seed)) {
    const uint64_t first = reference::TestSeed();
    for (uint64_t seed = first; seed < first + static_cast<uint64_t>(runs); ++seed) {
      SCOPED_TRACE(seed);
      StateSimulation(seed, make_log(seed)).Run();
      if (HasFailure()) FAIL() << "run it first with TRIBUTARY_SEED=" << seed;
    }
  }
};

TEST_F(StateSimulationTest, EverySplitAnswersAsTheReferenceThatSeesAllEventsAtOnce) { Run(60, &RandomLog); }

TEST_F(StateSimulationTest, AbortedAndOpenTransactionsOfTheLogChangeNoAnswer) {
  Run(20, [](uint64_t seed) {
    const std::vector<RawRecord> sent = RandomLog(seed);
    std::vector<RawRecord> read = reference::ThroughEventLog(sent, kPartitions, seed);
    for (int32_t p = -1; p < kPartitions; ++p) {
      EXPECT_EQ(ValuesOf(read, p), ValuesOf(sent, p)) << "committed values of partition " << p;
    }
    return read;
  });
}

}  // namespace
}  // namespace tributary
