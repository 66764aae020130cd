#include "tests/simulation/plan.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/reference/random_events.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary::simulation {
namespace {

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int kImportFiles = 3;
constexpr int kImportLines = 12;

class Planner {
 public:
  // Every other world has little memory; in half of them the disk that takes its place fills up, too.
  explicit Planner(uint64_t seed)
      : random_(seed), events_(random_, kUsers, kItems), memory_(seed % 2 != 0 ? 0 : seed % 4 != 0 ? 1 : 2) {}

  std::vector<Step> Make() {
    for (int item = 0; item < kItems; ++item) {
      if (!OneIn(4)) Item(item);
    }
    for (int slot = 0; slot < kSpeedSlots; ++slot) {
      if (!OneIn(3)) Do({Action::kStartSpeed, slot, 0, memory_});
    }
    if (OneIn(2)) Do({Action::kImport, 0, Pick(kImportFiles)});
    // Every world has its own weather: mostly one kind of fault, all of them, or hardly any.
    calm_ = 2 + Pick(12);
    const int64_t events = kMinEvents + Pick(100);
    const int64_t between_quiet = events / (2 + Pick(2));
    for (int64_t i = 0; i < events; ++i) {
      Tick();
      Event();
      while (OneIn(calm_)) Fault();
      if (OneIn(events / 3)) Episode();
      Layers();
      if (OneIn(events / 4)) Batch(Action::kBatch);
      if (OneIn(25)) Change();
      if (i > 0 && i % between_quiet == 0) Do({Action::kQuiet});
    }
    Finish();
    return std::move(steps_);
  }

 private:
  int64_t Pick(int64_t n) { return events_.Pick(n); }
  bool OneIn(int64_t n) { return events_.OneIn(n); }
  void Do(Step step) { steps_.push_back(std::move(step)); }

  void Tick() {
    const int64_t ms = OneIn(60) ? Pick(30 * kHour) : OneIn(3) ? Pick(15 * kMinute) : Pick(kSecond);
    now_ += ms;
    Do({Action::kTick, 0, ms});
  }

  void Event() {
    const int64_t user = events_.User();
    const int partition = static_cast<int>(OneIn(6) ? Pick(kMaxPartitions) : user % kPartitions);
    std::string value = OneIn(14) ? events_.BadValue(user, now_) : events_.Value(user, now_);
    if (!last_value_.empty() && OneIn(20)) value = last_value_;  // A producer that repeats itself.
    last_value_ = value;
    if (OneIn(8)) {
      Do({Action::kTransaction, partition, Pick(3), 0, std::move(value)});
    } else {
      Do({Action::kPublish, partition, 0, 0, std::move(value)});
    }
  }

  // An instance gives up what it has and is out of the group before the next generation: when it is back, others have had it.
  void MissAGeneration(int slot) {
    Do({Action::kRebalance});
    Do({Action::kSpeed, slot});
    Do({Action::kExpireMember, slot});
    for (int round = 0; round < 6; ++round) {
      Event();
      for (int other = 0; other < kSpeedSlots; ++other) {
        if (other != slot) Do({Action::kSpeed, other});
      }
    }
  }

  void Layers() {
    for (int slot = 0; slot < kSpeedSlots; ++slot) {
      if (!OneIn(3)) Do({Action::kSpeed, slot});
      if (OneIn(30)) Do({Action::kStartSpeed, slot, 0, memory_});
    }
    for (int replica = 0; replica < kReplicas; ++replica) {
      if (OneIn(3)) Do({Action::kFollow, replica});
      if (OneIn(8)) Do({Action::kLook, replica});
      if (replica > 0 && OneIn(3)) Do({Action::kCopy, replica, Pick(1000), OneIn(4) ? 1 + Pick(3) : 0});
      if (OneIn(6)) Do({Action::kAsk, replica, events_.User(), Pick(1000)});
    }
  }

  void Batch(Action action) {
    if (action == Action::kDiskFull) {
      Do({action, 0, 200 + Pick(20000)});
    } else {
      Do({action, 0, OneIn(2) ? 0 : Pick(60), OneIn(3) ? 1 + Pick(25) : 0});
    }
  }

  void Change() {
    switch (Pick(6)) {
      case 0:
        return Rule();
      case 1:
        return User();
      case 2:
        return Do({Action::kImport, 0, Pick(kImportFiles)});
      case 3:
        return Do({Action::kActivate, 0, Pick(4)});
      default:
        return Item(static_cast<int>(Pick(kItems)));
    }
  }

  void Item(int number) {
    v1::Item item;
    item.set_item_id(absl::StrCat("item-", number));
    if (!OneIn(8)) {
      item.add_categories(absl::StrCat("category ", Pick(3)));
      if (OneIn(3)) item.set_stock(Pick(3));
      if (OneIn(8)) item.mutable_available_until()->set_seconds((now_ + Pick(100 * kHour)) / 1000);
      if (OneIn(8)) item.mutable_available_from()->set_seconds((now_ + Pick(50 * kHour)) / 1000);
    }
    Do({Action::kItem, 0, 0, 0, item.SerializeAsString()});
  }

  void Rule() {
    v1::Rule rule;
    rule.set_rule_id(absl::StrCat("rule-", Pick(3)));
    if (!OneIn(3)) {
      rule.set_action(static_cast<v1::RuleAction>(1 + Pick(v1::HIDE)));
      rule.set_strength(static_cast<double>(Pick(5)));
      if (OneIn(2)) {
        rule.set_item_id(absl::StrCat("item-", Pick(kItems)));
      } else {
        rule.set_category(absl::StrCat("category ", Pick(3)));
      }
      if (OneIn(3)) rule.set_segment("regulars");
    }
    Do({Action::kRule, 0, 0, 0, rule.SerializeAsString()});
  }

  void User() {
    v1::UserRecord user;
    user.set_user_id(absl::StrCat("user-", events_.User()));
    if (OneIn(2)) user.set_segment("regulars");
    if (OneIn(4)) user.set_consent(v1::CONSENT_NO_TRACKING);
    Do({Action::kUser, 0, 0, 0, user.SerializeAsString()});
  }

  void Fault() {
    const int slot = static_cast<int>(Pick(kSpeedSlots));
    const int replica = static_cast<int>(Pick(kReplicas));
    const int partition = static_cast<int>(Pick(kMaxPartitions));
    switch (Pick(31)) {
      case 0:
        return Do({Action::kCrashSpeed, slot});
      case 1:  // Both go on under one name.
        Do({Action::kStartSpeed, slot, 0, memory_});
        return Do({Action::kZombie});
      case 2:
      case 3:
      case 4:
        return Do({Action::kZombie});
      case 5:
        return Do({Action::kStopSpeed, slot});
      case 6:
        return Do({Action::kRestart, replica});
      case 7:
        return Do({Action::kExpireMember, slot});
      case 8:
        return Do({Action::kExpireTransaction, slot});
      case 9:
        return OneIn(2) ? MissAGeneration(slot) : Do({Action::kRebalance});
      case 10:
      case 11:
      case 12:
        return Do({Action::kFail, static_cast<int>(Pick(8)), 1 + Pick(3), Pick(3)});
      case 13:
      case 14:
        return Do({Action::kHold, partition, Pick(3)});
      case 15:
      case 16:
        return Do({Action::kRelease, partition, Pick(3)});
      case 17:
        return Do({Action::kDelayMarkers, partition, Pick(3)});
      case 18:
      case 19:
        return Do({Action::kReleaseMarkers, partition, Pick(3)});
      case 20:
        if (OneIn(4)) Do({Action::kBroker, 1});
        return;
      case 21:
        return Do({Action::kBroker, 0});
      case 22:
        return Do({Action::kCompact, 0, Pick(6), Pick(2)});
      case 23:
        return Do({Action::kTruncate, partition, Pick(101)});
      case 24:
        if (OneIn(6)) Do({Action::kAddPartition});
        return;
      case 25:
        return Do({Action::kJumpClock, static_cast<int>(Pick(kMachines + 1)), Pick(60 * kHour) - 30 * kHour});
      case 26:
        if (OneIn(4)) Batch(Action::kDiskFull);
        return;
      case 27:
      case 28:
      case 29:
        return Do({Action::kPause, static_cast<int>(Pick(3)), 1 + Pick(40), Pick(4)});
      default:
        return Do({Action::kLeftovers});
    }
  }

  // Faults that matter only one after the other, which chance alone would hardly bring together.
  void Episode() {
    switch (Pick(3)) {
      case 0:
        return Overtaken();
      case 1:
        return AskedInTheMiddle();
      default:
        return DamagedCopy();
    }
  }

  // All instances, and time for their commits.
  void SpeedRounds(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (int slot = 0; slot < kSpeedSlots; ++slot) Do({Action::kSpeed, slot});
      Do({Action::kTick, 0, 50});
    }
  }

  void AskAll(int replica) {
    Do({Action::kFollow, replica});
    for (int64_t user = 0; user < kUsers; ++user) Do({Action::kAsk, replica, user, Pick(1000)});
  }

  // Whoever writes next of a partition stands still before its first record. Others take over, go on with the same user and
  // another one, and die when the first has written what it wanted to.
  void Overtaken() {
    SpeedRounds(3);
    const int64_t user = events_.User();
    const int partition = static_cast<int>(user % kPartitions);
    const auto publish = [&](int64_t of) { Do({Action::kPublish, partition, 0, 0, events_.Value(of, now_)}); };
    for (int i = 0; i < 3; ++i) publish(user);
    Do({Action::kPause, 2, 0, 0});
    const size_t pause = steps_.size() - 1;
    SpeedRounds(1);
    // The round that writes takes the steps behind it into its middle.
    for (int slot = 0; slot < kSpeedSlots; ++slot) Do({Action::kExpireMember, slot});
    SpeedRounds(4);
    for (int i = 0; i < 3; ++i) {
      publish(user);
      publish(events_.User());
    }
    SpeedRounds(3);
    steps_[pause].number = static_cast<int64_t>(steps_.size() - pause) - 2;
    for (int replica = 0; replica < kReplicas; ++replica) AskAll(replica);
    for (int slot = 0; slot < kSpeedSlots; ++slot) {
      Do({Action::kCrashSpeed, slot});
      Do({Action::kStartSpeed, slot, 0, memory_});
    }
    SpeedRounds(2);
  }

  // Answers between two records of one flush.
  void AskedInTheMiddle() {
    SpeedRounds(3);
    for (int i = 0; i < 3; ++i) Event();
    Do({Action::kPause, 2, 0, 1 + Pick(3)});
    const size_t pause = steps_.size() - 1;
    SpeedRounds(1);
    AskAll(0);
    steps_[pause].number = static_cast<int64_t>(steps_.size() - pause) - 2;
  }

  void DamagedCopy() {
    constexpr int kCopied = 1;
    Batch(Action::kBatch);
    Do({Action::kCopy, kCopied, Pick(1000), 4});
    Do({Action::kLook, kCopied});
    AskAll(kCopied);
  }

  // Two swaps and a rollback at the least, each with traffic between and everything checked.
  void Finish() {
    Do({Action::kQuiet});
    Do({Action::kBatch});
    Do({Action::kQuiet});
    for (int i = 0; i < 10; ++i) {
      Tick();
      Event();
      Layers();
    }
    Do({Action::kBatch});
    Do({Action::kQuiet});
    Do({Action::kActivate, 0, 1});
    Do({Action::kQuiet});
  }

  std::mt19937_64 random_;
  reference::RandomEvents events_;
  const int64_t memory_;  // Of instances of the speed layer, a SpeedFleet::Memory.
  std::vector<Step> steps_;
  int64_t now_ = kBegin;
  int64_t calm_ = 1;
  std::string last_value_;
};

}  // namespace

std::vector<Step> MakePlan(uint64_t seed) { return Planner(seed).Make(); }

std::vector<std::string> ImportFile(int64_t file) {
  std::mt19937_64 random(static_cast<uint64_t>(file));
  reference::RandomEvents events(random, kUsers, kItems);
  std::vector<std::string> values;
  for (int line = 0; line < kImportLines; ++line) {
    values.push_back(events.Event(events.User(), kBegin - kHour * 100).SerializeAsString());
  }
  return values;
}

}  // namespace tributary::simulation
