#include "tests/simulation/world.h"

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::simulation {
namespace {

constexpr int kSpeedMachine = 0;
constexpr int kBatchMachine = 1;
constexpr int kFirstReplicaMachine = 2;
constexpr int kMaxAttempts = 100;
constexpr size_t kEventsInMemory = 30;     // Of a batch run that takes its events through the disk.

v1::Config ConfigOf(const std::string& dir) {
  v1::Config config = DefaultConfig();
  config.mutable_storage()->set_snapshots_dir(dir + "/snapshots");
  config.mutable_storage()->set_history_dir(dir + "/history");
  config.mutable_kafka()->set_partitions(kPartitions);
  config.mutable_kafka()->set_segment_size(kSegmentSize);
  config.mutable_speed()->set_checkpoint_ms(40);
  config.mutable_merge()->mutable_fatigue()->set_impressions(2);
  config.mutable_merge()->mutable_fatigue()->set_window_seconds(12 * 3600);
  v1::BatchConfig& batch = *config.mutable_batch();
  batch.set_threads(1);
  batch.mutable_ials()->set_dimensions(8);
  batch.mutable_ials()->set_epochs(1);
  batch.set_list_length(kItems);
  batch.set_neighbours(4);
  batch.set_popular_length(kItems);
  batch.set_retained_generations(2);
  // A file of the history has about 10 kB, however few its events are: runs merge what they can, and leave some.
  batch.mutable_history()->set_compact_file_bytes(40'000);
  batch.mutable_history()->set_compact_files(2);
  return config;
}

// Transactions of producers consume nothing, so nobody looks at this.
class NoMembership final : public GroupMembership {};

}  // namespace

World::World(const std::string& dir)
    : config_(ConfigOf(dir)),
      checker_(truth_, config_),
      speed_(log_, clocks_[kSpeedMachine], config_),
      batch_(log_, clocks_[kBatchMachine], config_, truth_) {
  const absl::Time begin = absl::FromUnixMillis(kBegin);
  broker_clock_.Set(begin);
  for (FakeClock& clock : clocks_) clock.Set(begin);
  CHECK(log_.CreateTopics(TopicsToCreate(topics_, config_.kafka())).ok());
  producer_ = *log_.OpenProducer();
  for (int i = 0; i < kReplicas; ++i) {
    const std::string snapshots = i == 0 ? batch_.store().dir() : absl::StrCat(dir, "/copy-", i);
    copies_.push_back(i == 0 ? nullptr : std::make_unique<SnapshotCopy>(batch_.store().dir(), snapshots));
    replicas_.push_back(std::make_unique<Replica>(log_, clocks_[static_cast<size_t>(kFirstReplicaMachine + i)], config_,
                                                  snapshots));
  }
}

Tally World::tally() const {
  Tally tally = tally_;
  tally.swaps = checker_.swaps();
  tally.rollbacks = checker_.rollbacks();
  tally.answers = checker_.answers();
  return tally;
}

absl::Status World::Run(std::vector<Step> steps) {
  steps_ = std::move(steps);
  while (next_ < steps_.size() && failure_.ok()) {
    const Step& step = steps_[next_++];
    failure_.Update(Do(step));
  }
  return failure_;
}

void World::DoSome(int64_t steps) {
  for (; steps > 0 && next_ < steps_.size() && failure_.ok(); --steps) {
    if (steps_[next_].action == Action::kQuiet) return;  // Not before the run is over.
    const Step& step = steps_[next_++];
    failure_.Update(Do(step));
  }
}

absl::Status World::Do(const Step& step) {
  VLOG(1) << next_ << " " << Describe(step);
  const auto replica = static_cast<size_t>(step.who % kReplicas);
  const int slot = step.who % kSpeedSlots;
  switch (step.action) {
    case Action::kPublish:
      Publish(step);
      return absl::OkStatus();
    case Action::kTransaction:
      PublishInTransaction(step);
      return absl::OkStatus();
    case Action::kImport:
    case Action::kItem:
    case Action::kRule:
    case Action::kUser:
    case Action::kActivate:
      return Change(step);
    case Action::kSpeed: {
      const absl::Status status = speed_.Round(slot);
      LetTimePass(absl::Milliseconds(7));
      return status;
    }
    case Action::kStartSpeed:
      speed_.Start(slot, static_cast<SpeedFleet::Memory>(step.more));
      return absl::OkStatus();
    case Action::kBatch:
    case Action::kDiskFull:
      return RunBatch(step);
    case Action::kFollow: {
      TRIBUTARY_RETURN_IF_ERROR(replicas_[replica]->Follow(truth_.versions().size()));
      return checker_.CheckReplica(static_cast<int>(replica), *replicas_[replica]);
    }
    case Action::kLook:
      batch_.Current();
      replicas_[replica]->Look();
      return checker_.CheckReplica(static_cast<int>(replica), *replicas_[replica]);
    case Action::kCopy:
      if (copies_[replica] == nullptr) return absl::OkStatus();
      if (step.more >= 3) {
        batch_.Current();
        if (step.more == 4) copies_[replica]->CopyMissing(step.number);
        copies_[replica]->CopyCurrent();
      } else {
        copies_[replica]->CopyOne(step.number, static_cast<SnapshotCopy::How>(step.more));
      }
      return absl::OkStatus();
    case Action::kAsk:
      truth_.Read(log_, partitions_);
      if (step.more % 4 == 0) TRIBUTARY_RETURN_IF_ERROR(checker_.CheckTotals(*replicas_[replica]));
      return checker_.CheckAnswer(*replicas_[replica], absl::StrCat("user-", step.number), step.more);
    case Action::kTick:
      LetTimePass(absl::Milliseconds(step.number));
      return absl::OkStatus();
    case Action::kQuiet:
      return QuietPoint();
    default:
      ++tally_.faults;
      return DoFault(step);
  }
}

v1::Progress World::LastProgress(int partition) const {
  v1::Progress progress;
  for (const LogRecord& record : log_.Records({topics_.speed_views, PartitionId{partition}}, Isolation::kCommitted)) {
    if (record.key == kProgressKey && record.value) progress.ParseFromString(*record.value);
  }
  return progress;
}

void World::LetTimePass(absl::Duration time) {
  broker_clock_.Advance(time);
  for (FakeClock& clock : clocks_) clock.Advance(time);
}

void World::Publish(const Step& step) {
  ++tally_.events;
  const PartitionId partition{step.who % partitions_};
  // As a producer that is not idempotent: what it is not told of it sends again.
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto produced = producer_->Produce(
        {.topic = topics_.events, .partition = partition, .key = "key", .value = step.text}, absl::ZeroDuration());
    if (produced.ok()) return;
  }
}

void World::PublishInTransaction(const Step& step) {
  ++tally_.events;
  const int id = ++transaction_ids_;
  auto opened = log_.OpenTransactionalProducer(absl::StrCat("shop-", id));
  if (!opened.ok() || !(*opened)->Begin().ok()) return;
  const PartitionId partition{step.who % partitions_};
  (void)(*opened)->Produce({.topic = topics_.events, .partition = partition, .key = "key", .value = step.text});
  if (step.number == 0) {
    (void)(*opened)->Commit({}, NoMembership());
  } else if (step.number == 1) {
    (void)(*opened)->Abort();
  } else {
    transactions_[id] = *std::move(opened);
  }
}

bool World::Put(const std::string& topic, const std::string& key, std::optional<std::string> value) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (producer_->Produce({.topic = topic, .key = key, .value = value}, absl::ZeroDuration()).ok()) return true;
  }
  return false;
}

absl::Status World::Change(const Step& step) {
  switch (step.action) {
    case Action::kItem: {
      v1::Item item;
      CHECK(item.ParseFromString(step.text));
      const bool deleted = item.categories().empty();
      if (Put(topics_.items, item.item_id(), deleted ? std::nullopt : std::optional(step.text))) truth_.Put(item);
      return absl::OkStatus();
    }
    case Action::kRule: {
      v1::Rule rule;
      CHECK(rule.ParseFromString(step.text));
      const bool deleted = rule.action() == v1::RULE_ACTION_UNSPECIFIED;
      if (Put(topics_.rules, rule.rule_id(), deleted ? std::nullopt : std::optional(step.text))) truth_.Put(rule);
      return absl::OkStatus();
    }
    case Action::kUser: {
      v1::UserRecord user;
      CHECK(user.ParseFromString(step.text));
      if (Put(topics_.users, user.user_id(), step.text)) truth_.Put(user);
      return absl::OkStatus();
    }
    case Action::kImport: {
      const absl::Status status = batch_.Import(step.number);
      if (status.ok() || absl::IsAlreadyExists(status)) return absl::OkStatus();
      return absl::IsAborted(status) == batch_.running() ? absl::OkStatus() : Failed("import", status.ToString());
    }
    default: {
      const absl::Status status = batch_.Activate(step.number);
      return status.ok() || absl::IsNotFound(status) ? absl::OkStatus() : Failed("activate", status.ToString());
    }
  }
}

absl::Status World::RunBatch(const Step& step) {
  BatchJob::RunOptions options;
  const bool full = step.action == Action::kDiskFull;
  options.between_steps = [this, steps = full ? 0 : step.number] { DoSome(steps); };
  options.stop_at = full ? 0 : step.more;
  options.events_in_memory = step.number % 2 == 0 ? 0 : kEventsInMemory;
  if (full) {
    options.disk_bytes = step.number;
    ++tally_.faults;
  }
  const bool other_at_work = batch_.running();
  const absl::StatusOr<batch::RunReport> report = batch_.Run(options);
  tally_.batches += report.ok() ? 1 : 0;

  if (other_at_work != absl::IsAborted(report.status())) {
    // Aborted may be injected too, but not at this door.
    return Failed("overlap", absl::StrCat("other_at_work=", other_at_work, " status=", report.status().ToString()));
  }
  if (report.ok()) {
    truth_.Read(log_, partitions_);
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckManifest(report->manifest));
    TRIBUTARY_RETURN_IF_ERROR(checker_.CheckForgotten(report->manifest, batch_.kept()));
  }
  switch (report.status().code()) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
      if (!full) return Failed("batch", report.status().ToString());
      break;
    default:
      break;
  }
  return failure_;
}

}  // namespace tributary::simulation
