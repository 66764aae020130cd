#include "speed_layer/speed_layer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::speed {
namespace {

constexpr int64_t kMaxTransactionEvents = 1'000'000;
constexpr size_t kPrefetchAhead = 8;  // Records.
constexpr size_t kMaxSideBytes = 16 << 20;
// How long changes are gathered while there is a backlog: this share of the time that it has lasted, at most a second.
// So a burst that is over soon is seen soon, and who is far behind does not write a busy user's view over and over.
constexpr int kGatheringShare = 4;
constexpr absl::Duration kLongestGathering = absl::Seconds(1);
// Without one: an event that comes by itself is written at once, and at high rates a write, which costs the broker more than
// what is in it, takes with it what came in this time. A linger of the producer would let everybody wait.
constexpr absl::Duration kShortestGathering = absl::Microseconds(500);
constexpr absl::Duration kRestorePollTimeout = absl::Milliseconds(5);
constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);
constexpr absl::Duration kLogRestoresAfter = absl::Seconds(5);
constexpr absl::Duration kSpillRetry = absl::Seconds(10);
constexpr int64_t kSpillShare = 10;  // Of the budget, at a time.
constexpr absl::Duration kFloorInterval = absl::Milliseconds(100);
constexpr absl::Duration kLagInterval = absl::Seconds(5);

// The clock may jump: back counts as passed, so that nothing waits for the time to come again.
bool HasPassed(absl::Time now, absl::Time since, absl::Duration duration) {
  return now < since || now - since >= duration;
}

bool IsRetriable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:     // The transaction, or the membership: restored, applied again.
    case absl::StatusCode::kOutOfRange:  // Retention overtook the reader: restoring records the gap.
      return true;
    default:
      return false;
  }
}

bool KnowsFatigue(const v1::MergePolicy& merge) { return merge.fatigue().impressions() > 0; }

// Impressions are kept only where an answer can depend on them.
UserLimits LimitsOf(const v1::Config& config) {
  bool fatigue = KnowsFatigue(config.merge());
  for (const v1::Experiment& experiment : config.serving().experiments()) {
    for (const v1::ExperimentBucket& bucket : experiment.buckets()) fatigue |= KnowsFatigue(bucket.merge());
  }
  return {.facts = static_cast<size_t>(config.speed().max_facts_per_user()),
          .impressions = fatigue ? static_cast<size_t>(config.speed().max_impressions_per_user()) : 0};
}

PartitionSettings SettingsOf(const v1::Config& config, LocalStore* store) {
  return {.topics = Topics(config.kafka().topic_prefix()),
          .segment_size = config.kafka().segment_size(),
          .limits = LimitsOf(config),
          .allowed_lateness = absl::Seconds(config.speed().allowed_lateness_seconds()),
          .instance = config.speed().instance(),
          .store = store};
}

}  // namespace

absl::StatusOr<std::unique_ptr<SpeedLayer>> SpeedLayer::Open(EventLog& log, const Clock& clock,
                                                             MetricsRegistry& registry, const Options& options) {
  std::unique_ptr<SpeedLayer> layer(new SpeedLayer(log, clock, registry, options));
  TRIBUTARY_RETURN_IF_ERROR(layer->Connect());
  return layer;
}

SpeedLayer::SpeedLayer(EventLog& log, const Clock& clock, MetricsRegistry& registry, const Options& options)
    : log_(log),
      clock_(clock),
      options_(options),
      settings_(SettingsOf(options.config, options.store)),
      metrics_(registry),
      floors_(log, settings_.topics.snapshots),
      restorer_(log, settings_, options.restore_threads),
      retry_(options.give_up_after, options.retry_seed),
      floors_retry_(options.give_up_after, options.retry_seed),
      restore_retry_(options.give_up_after, options.retry_seed) {}

SpeedLayer::~SpeedLayer() = default;

absl::Status SpeedLayer::Connect() {
  const Topics& topics = settings_.topics;
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, log_.PartitionCount(topics.events));
  for (const std::string& topic : {topics.speed_views, topics.live_counts}) {
    TRIBUTARY_ASSIGN_OR_RETURN(const int count, log_.PartitionCount(topic));
    if (count != partitions) {
      return absl::InvalidArgumentError(
          absl::StrFormat("topic has not the partitions of events: topic=%s partitions=%d "
                          "events_partitions=%d",
                          topic, count, partitions));
    }
  }
  for (const std::string& topic : {topics.snapshots, topics.dead_letters, topics.late_events}) {
    TRIBUTARY_RETURN_IF_ERROR(log_.PartitionCount(topic).status());
  }
  TRIBUTARY_RETURN_IF_ERROR(OpenProducers());
  const v1::SpeedConfig& speed = options_.config.speed();
  TRIBUTARY_ASSIGN_OR_RETURN(group_,
                             log_.JoinGroup({.group = Group(),
                                             .instance = speed.instance(),
                                             .topic = topics.events,
                                             .session_timeout = absl::Milliseconds(speed.session_timeout_ms())}));
  return absl::OkStatus();
}

// Installations that share a cluster have a prefix of their own, and so a group of their own.
std::string SpeedLayer::Group() const {
  return absl::StrCat(options_.config.kafka().topic_prefix(), options_.config.speed().group());
}

absl::Status SpeedLayer::OpenProducers() {
  for (size_t i = 0; i < producers_.size(); ++i) {
    if (producers_[i]) continue;
    const std::string id = absl::StrCat(Group(), "-", options_.config.speed().instance(), "-", i);
    TRIBUTARY_ASSIGN_OR_RETURN(producers_[i], log_.OpenTransactionalProducer(id));
  }
  return absl::OkStatus();
}

absl::Status SpeedLayer::RunOnce() {
  if (delay() > absl::ZeroDuration()) return absl::OkStatus();
  absl::Status status = Round();
  if (!status.ok()) return RetryLater(retry_, std::move(status));
  if (!transaction_open_ && !restoring()) retry_.Succeeded();
  return absl::OkStatus();
}

absl::Duration SpeedLayer::delay() const { return retry_.Remaining(clock_.Now()); }

absl::Status SpeedLayer::RetryLater(RetryDelay& retry, absl::Status failure) {
  if (!IsRetriable(failure)) return failure;
  metrics_.retries.Increment();
  if (!retry.Failed(clock_.Now())) {
    return absl::Status(failure.code(), absl::StrCat("gave up after ", absl::FormatDuration(options_.give_up_after),
                                                     ": ", failure.message()));
  }
  LOG_EVERY_T(WARNING, 60) << "trying again: failures=" << retry.failures() << " cause=\"" << failure << "\"";
  return absl::OkStatus();
}

absl::Status SpeedLayer::Round() {
  TRIBUTARY_RETURN_IF_ERROR(OpenProducers());  // Also the one whose turn it is not: it may hold a transaction in doubt.
  TRIBUTARY_RETURN_IF_ERROR(Acknowledge());
  if (flush_pending_) TRIBUTARY_RETURN_IF_ERROR(Flush());  // Before anything more is read: what waits is bounded.
  TRIBUTARY_RETURN_IF_ERROR(FollowFloors());
  TRIBUTARY_RETURN_IF_ERROR(RestoreSome());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, PollGroup());
  NoteBacklog(events.size() >= static_cast<size_t>(options_.max_poll_events));
  TRIBUTARY_RETURN_IF_ERROR(Handle(events));
  Trim();
  DropSome();
  TRIBUTARY_RETURN_IF_ERROR(StoreFailure());
  TRIBUTARY_RETURN_IF_ERROR(KeepToBudget());
  if (FlushDue() || CheckpointDue()) TRIBUTARY_RETURN_IF_ERROR(Flush());
  if (CheckpointDue()) TRIBUTARY_RETURN_IF_ERROR(Checkpoint());
  MeasureLag();
  return absl::OkStatus();
}

absl::Status SpeedLayer::FollowFloors() {
  const absl::Time now = clock_.Now();
  if (floors_retry_.Remaining(now) > absl::ZeroDuration()) return absl::OkStatus();
  if (floors_.ready() && !HasPassed(now, floors_polled_, kFloorInterval)) return absl::OkStatus();
  floors_polled_ = now;
  const absl::StatusOr<bool> changed = floors_.Poll();
  if (!changed.ok()) return RetryLater(floors_retry_, changed.status());
  floors_retry_.Succeeded();
  if (!*changed || !floors_.ready()) return absl::OkStatus();
  for (auto& [partition, owned] : owned_) {
    if (owned.state) owned.state->RaiseFloor(floors_.FloorOf(partition).offset);
  }
  trimming_ = true;
  return absl::OkStatus();
}

absl::Status SpeedLayer::RestoreSome() {
  if (restorer_.idle() || !floors_.ready() || restore_retry_.Remaining(clock_.Now()) > absl::ZeroDuration()) {
    return absl::OkStatus();
  }
  ReportRestores();
  const bool others_flow =
      std::any_of(owned_.begin(), owned_.end(), [](const auto& entry) { return entry.second.state != nullptr; });
  auto done = restorer_.Poll(others_flow ? absl::ZeroDuration() : std::min(options_.poll_timeout, kRestorePollTimeout),
                             options_.max_poll_events);
  if (!done.ok()) return RetryLater(restore_retry_, done.status());
  absl::Status first_failure;
  for (auto& [partition, restore] : *done) {
    absl::Status status = Activate(partition, std::move(restore));
    if (status.ok()) continue;
    restorer_.Begin(partition, BudgetOfOne());
    first_failure.Update(status);
  }
  if (!first_failure.ok()) return RetryLater(restore_retry_, first_failure);
  if (!done->empty()) restore_retry_.Succeeded();
  return absl::OkStatus();
}

void SpeedLayer::ReportRestores() {
  const absl::Time now = clock_.Now();
  if (!HasPassed(now, restores_reported_, kProgressInterval)) return;
  restores_reported_ = now;
  int restoring = 0;
  double least = 1;
  absl::Time since = now;
  for (const auto& [partition, owned] : owned_) {
    if (owned.state) continue;
    const double progress = restorer_.Progress(partition);
    metrics_.RestoreProgress(partition).Set(progress);
    ++restoring;
    least = std::min(least, progress);
    since = std::min(since, owned.assigned_at);
  }
  if (now - since < kLogRestoresAfter) return;
  LOG_EVERY_T(INFO, 5) << "restoring: partitions=" << restoring << " least_progress=" << least
                       << " seconds=" << absl::ToDoubleSeconds(now - since);
}

absl::Status SpeedLayer::Activate(PartitionId partition, PartitionRestore restore) {
  Owned& owned = owned_.at(partition);
  const int64_t records = restore.records();
  TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(EventsOf(partition), Isolation::kUncommitted));
  const Floor floor = floors_.FloorOf(partition);
  TRIBUTARY_ASSIGN_OR_RETURN(PartitionStart start, restore.Finish(range, floor, owned.group_generation));
  const bool gap = start.unwritten;
  auto state = std::make_unique<PartitionState>(settings_, partition, std::move(start));
  state->RaiseFloor(floor.offset);
  absl::Status started = group_->StartAt(EventsOf(partition), state->applied());
  // Taken away meanwhile: the Revoked is on its way.
  if (absl::IsInvalidArgument(started)) return absl::UnavailableError(started.message());
  TRIBUTARY_RETURN_IF_ERROR(started);
  if (gap) {
    metrics_.gaps.Increment();
    LOG(ERROR) << "events were lost to retention before they were read: partition=" << Value(partition)
               << " gap_end_offset=" << state->progress().gap_end_offset();
  }
  const absl::Duration took = clock_.Now() - owned.assigned_at;
  LOG(INFO) << "partition restored: partition=" << Value(partition) << " applied=" << Value(state->applied())
            << " floor=" << Value(state->floor()) << " users=" << state->users() << " records=" << records
            << " seconds=" << absl::ToDoubleSeconds(took);
  metrics_.restores.Increment();
  metrics_.restore_seconds.Observe(std::max(0.0, absl::ToDoubleSeconds(took)));
  metrics_.Restoring(partition).Set(0);
  metrics_.RestoreProgress(partition).Set(1);
  owned.state = std::move(state);
  owned.counted_loads = 0;
  trimming_ = true;  // The predecessor may have stopped in the middle of it.
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LogEvent>> SpeedLayer::PollGroup() {
  absl::Duration timeout = options_.poll_timeout;
  if (trimming_ || !dropped_.empty() || (!restorer_.idle() && options_.restore_threads == 0)) {
    timeout = absl::ZeroDuration();
  } else if (!restorer_.idle()) {
    timeout = std::min(timeout, kRestorePollTimeout);  // What is restored is to flow soon.
  } else if (transaction_open_) {
    const absl::Duration checkpoint = absl::Milliseconds(options_.config.speed().checkpoint_ms());
    timeout = std::clamp(transaction_began_ + checkpoint - clock_.Now(), absl::ZeroDuration(), options_.poll_timeout);
  }
  if (dirty() && !behind_since_) {
    timeout = std::min(timeout, std::clamp(flushed_at_ + kShortestGathering - clock_.Now(), absl::ZeroDuration(),
                                           kShortestGathering));
  }
  absl::StatusOr<std::vector<LogEvent>> events = group_->Poll(timeout, options_.max_poll_events);
  if (absl::IsOutOfRange(events.status())) return Abandon(events.status());
  return events;
}

absl::Status SpeedLayer::Handle(const std::vector<LogEvent>& events) {
  // Every event is dealt with whatever becomes of the others: they do not come again.
  absl::Status first_failure;
  if (options_.store != nullptr) LoadAhead(events);
  for (size_t i = 0; i < events.size(); ++i) {
    const LogEvent& event = events[i];
    Prefetch(events, i + 2 * kPrefetchAhead, /*near=*/false);
    Prefetch(events, i + kPrefetchAhead, /*near=*/true);
    if (const LogRecord* record = std::get_if<LogRecord>(&event)) {
      Apply(*record);
    } else if (const EndOfPartition* end = std::get_if<EndOfPartition>(&event)) {
      const auto it = owned_.find(end->source.partition);
      if (it == owned_.end() || !it->second.state) continue;
      it->second.state->AdvanceTo(end->position);
      metrics_.LagEvents(end->source.partition).Set(0);
      metrics_.LagSeconds(end->source.partition).Set(0);
    } else if (const Assigned* assigned = std::get_if<Assigned>(&event)) {
      first_failure.Update(Assign(*assigned));
    } else {
      first_failure.Update(Revoke(std::get<Revoked>(event)));
    }
  }
  metrics_.applied.Increment(static_cast<double>(std::exchange(counted_.applied, 0)));
  metrics_.accepted.Increment(static_cast<double>(std::exchange(counted_.accepted, 0)));
  return first_failure;
}

void SpeedLayer::LoadAhead(const std::vector<LogEvent>& events) {
  std::map<PartitionState*, std::vector<absl::string_view>> keys;
  for (const LogEvent& event : events) {
    const LogRecord* record = std::get_if<LogRecord>(&event);
    PartitionState* state = record == nullptr ? nullptr : partition(record->source.partition);
    if (state != nullptr && state->spilled_users() > 0) keys[state].push_back(record->key);
  }
  for (const auto& [state, users] : keys) state->LoadAhead(users);
}

absl::Status SpeedLayer::StoreFailure() const {
  for (const auto& [partition, owned] : owned_) {
    if (owned.state) TRIBUTARY_RETURN_IF_ERROR(owned.state->failure());
  }
  return absl::OkStatus();
}

int64_t SpeedLayer::UserBytes() const {
  int64_t bytes = 0;
  for (const auto& [partition, owned] : owned_) {
    if (owned.state) bytes += owned.state->user_bytes();
  }
  return bytes;
}

// Those that are being restored have their share, as if the others kept to theirs.
int64_t SpeedLayer::BudgetOfOne() const {
  const int64_t budget = options_.config.speed().memory_budget_bytes();
  if (options_.store == nullptr || budget == 0) return std::numeric_limits<int64_t>::max();
  return budget / static_cast<int64_t>(std::max<size_t>(1, owned_.size()));
}

absl::Status SpeedLayer::KeepToBudget() {
  const int64_t budget = options_.config.speed().memory_budget_bytes();
  if (options_.store == nullptr || budget == 0) return absl::OkStatus();
  if (UserBytes() > budget && HasPassed(clock_.Now(), spill_failed_, kSpillRetry)) {
    Spill();
    if (UserBytes() > budget) {  // What is left has changed since it was written.
      TRIBUTARY_RETURN_IF_ERROR(Flush());
      Spill();
    }
  }
  metrics_.over_budget_bytes.Set(static_cast<double>(std::max<int64_t>(0, UserBytes() - budget)));
  return absl::OkStatus();
}

void SpeedLayer::Spill() {
  const int64_t budget = options_.config.speed().memory_budget_bytes();
  const int64_t before = UserBytes();
  if (before <= budget) return;  // A flush that failed may have thrown everybody away.
  const int64_t excess = before - budget + budget / kSpillShare;
  absl::Status failure;
  for (auto& [partition, owned] : owned_) {
    if (!owned.state || !failure.ok()) continue;
    const double share = static_cast<double>(owned.state->user_bytes()) / static_cast<double>(before);
    const absl::StatusOr<int64_t> users = owned.state->Spill(static_cast<int64_t>(std::ceil(share * excess)));
    failure.Update(users.status());
    if (users.ok()) metrics_.spills.Increment(static_cast<double>(*users));
  }
  if (!failure.ok()) {
    spill_failed_ = clock_.Now();
    metrics_.spill_failures.Increment();
    LOG_EVERY_T(ERROR, 60) << "users stay in memory over the budget: users_bytes=" << UserBytes()
                           << " memory_budget_bytes=" << budget << " cause=\"" << failure << "\"";
  }
}

void SpeedLayer::Prefetch(const std::vector<LogEvent>& events, size_t index, bool near) {
  const LogRecord* record = index < events.size() ? std::get_if<LogRecord>(&events[index]) : nullptr;
  if (record == nullptr) return;
  if (PartitionState* state = partition(record->source.partition)) state->Prefetch(*record, near);
}

void SpeedLayer::Apply(const LogRecord& record) {
  const auto it = owned_.find(record.source.partition);
  if (it == owned_.end() || !it->second.state) return;  // Being restored: it will come again.
  ApplyOutcome outcome = it->second.state->Apply(record);
  ++transaction_events_;
  ++unflushed_events_;
  ++counted_.applied;
  switch (outcome.kind) {
    case ApplyOutcome::Kind::kAccepted:
      ++counted_.accepted;
      break;
    case ApplyOutcome::Kind::kDuplicate:
      metrics_.duplicates.Increment();
      break;
    case ApplyOutcome::Kind::kRejected:
      metrics_.Rejected(outcome.dead_letter->cause()).Increment();
      AddSideRecord(DeadLetterRecord(*std::move(outcome.dead_letter)));
      break;
    case ApplyOutcome::Kind::kSkipped:
      break;
  }
  if (outcome.late) {
    metrics_.late.Increment();
    AddSideRecord({.topic = settings_.topics.late_events,
                   .key = outcome.late->event().user_id(),
                   .value = outcome.late->SerializeAsString()});
  }
}

void SpeedLayer::AddSideRecord(ProduceRecord record) {
  side_bytes_ += record.value->size();
  side_records_.push_back(std::move(record));
}

ProduceRecord SpeedLayer::DeadLetterRecord(v1::DeadLetter letter) {
  // With its envelope a record that just fitted through the broker may not fit again, and must not stop the stream.
  constexpr size_t kEnvelopeBytes = 1024;
  if (2 * letter.original_key().size() + letter.original_value().size() + letter.reason().size() + kEnvelopeBytes >
      kMaxLogRecordBytes) {
    metrics_.left_out.Increment();
    letter.set_reason(
        absl::StrCat(letter.reason(), " (original left out: ", letter.original_value().size(), " bytes)"));
    letter.clear_original_value();
    letter.mutable_original_key()->resize(std::min(letter.original_key().size(), kMaxIdBytes));
  }
  return {.topic = settings_.topics.dead_letters, .key = letter.original_key(), .value = letter.SerializeAsString()};
}

absl::Status SpeedLayer::Assign(const Assigned& assigned) {
  std::map<PartitionId, Owned> known = std::exchange(set_aside_, {});
  for (const TopicPartition& source : assigned.partitions) {
    if (source.topic != settings_.topics.events) {
      return absl::FailedPreconditionError(absl::StrCat("the consumer group is used for another topic too: group=", Group(),
                                                        " topic=", source.topic));
    }
    Owned& owned = owned_[source.partition] = Owned();
    if (assigned.unbroken && known.contains(source.partition)) owned = std::move(known[source.partition]);
    owned.group_generation = assigned.group_generation;
    LOG(INFO) << "partition assigned: partition=" << Value(source.partition)
              << " group_generation=" << assigned.group_generation << " known=" << (owned.state != nullptr);
  }
  for (auto& [partition, owned] : known) {
    if (owned.state) dropped_.push_back(std::move(owned.state));
  }
  absl::Status first_failure;
  for (const TopicPartition& source : assigned.partitions) {
    Owned& owned = owned_.at(source.partition);
    if (owned.state) first_failure.Update(GoOn(source.partition, owned));
    if (!owned.state) BeginRestore(source.partition, owned);
  }
  return first_failure;
}

void SpeedLayer::BeginRestore(PartitionId partition, Owned& owned) {
  owned.state.reset();
  owned.touched = false;
  owned.assigned_at = clock_.Now();
  restorer_.Begin(partition, BudgetOfOne());
  metrics_.Restoring(partition).Set(1);
  metrics_.RestoreProgress(partition).Set(0);
}

// Where it cannot, the state is gone.
absl::Status SpeedLayer::GoOn(PartitionId partition, Owned& owned) {
  absl::Status started = group_->StartAt(EventsOf(partition), owned.state->applied());
  if (!started.ok()) {
    owned.state.reset();
    // Taken away meanwhile: the Revoked is on its way.
    return absl::IsInvalidArgument(started) ? absl::OkStatus() : started;
  }
  owned.state->JoinGeneration(owned.group_generation);
  owned.state->RaiseFloor(floors_.FloorOf(partition).offset);
  owned.measured_at = absl::InfinitePast();
  trimming_ = true;
  metrics_.kept.Increment();
  return absl::OkStatus();
}

absl::Status SpeedLayer::Revoke(const Revoked& revoked) {
  absl::Status status;
  if (revoked.lost) {
    // Somebody else may be writing already what the transaction holds.
    status = Abandon(absl::AbortedError("membership of the consumer group was lost"));
  } else {
    status = Flush();
    if (!status.ok() && !transaction_open_) status = Abandon(status);  // Dead letters of revoked partitions go as well.
    if (status.ok()) status = Checkpoint();
  }
  for (const TopicPartition& source : revoked.partitions) {
    restorer_.Cancel(source.partition);
    auto given_up = owned_.extract(source.partition);
    if (status.ok() && !given_up.empty() && given_up.mapped().state) set_aside_.insert(std::move(given_up));
    metrics_.LagEvents(source.partition).Set(0);
    metrics_.LagSeconds(source.partition).Set(0);
    metrics_.Users(source.partition).Set(0);
    metrics_.StateBytes(source.partition).Set(0);
    metrics_.SpilledUsers(source.partition).Set(0);
    metrics_.Restoring(source.partition).Set(0);
    metrics_.RestoreProgress(source.partition).Set(0);
    LOG(INFO) << "partition " << (revoked.lost ? "lost" : "revoked") << ": partition=" << Value(source.partition);
  }
  acknowledge_ = true;
  status.Update(Acknowledge());
  return status;
}

absl::Status SpeedLayer::Acknowledge() {
  if (!acknowledge_) return absl::OkStatus();
  TRIBUTARY_RETURN_IF_ERROR(group_->AcknowledgeRevoked());
  acknowledge_ = false;
  return absl::OkStatus();
}

void SpeedLayer::NoteBacklog(bool more_waits) {
  if (!more_waits) {
    behind_since_.reset();
  } else if (!behind_since_) {
    behind_since_ = clock_.Now();
  }
}

void SpeedLayer::Trim() {
  trimming_ = false;
  for (auto& [partition, owned] : owned_) {
    if (owned.state) trimming_ |= owned.state->TrimSome();
  }
}

void SpeedLayer::DropSome() {
  if (!dropped_.empty() && !dropped_.back()->DropSome()) dropped_.pop_back();
}

bool SpeedLayer::FlushDue() const {
  if (unflushed_events_ >= kMaxTransactionEvents || side_bytes_ >= kMaxSideBytes) return true;
  const absl::Time now = clock_.Now();
  const absl::Duration gathering =
      behind_since_ ? std::min(kLongestGathering, (now - *behind_since_) / kGatheringShare) : absl::ZeroDuration();
  return HasPassed(now, flushed_at_, std::max(kShortestGathering, gathering));
}

bool SpeedLayer::dirty() const {
  return !side_records_.empty() || std::any_of(owned_.begin(), owned_.end(), [](const auto& entry) {
    return entry.second.state && entry.second.state->dirty();
  });
}

absl::Status SpeedLayer::Flush() {
  TRIBUTARY_RETURN_IF_ERROR(StoreFailure());
  flush_pending_ = dirty();
  if (!flush_pending_) {
    unflushed_events_ = 0;
    return absl::OkStatus();
  }
  // Nothing is in doubt while there is no transaction: changes are taken only once it has begun.
  if (!transaction_open_) {
    TRIBUTARY_RETURN_IF_ERROR(OpenProducers());
    if (absl::Status begun = producer()->Begin(); !begun.ok()) {
      if (absl::IsUnavailable(begun)) producer().reset();
      return begun;
    }
    transaction_open_ = true;
    transaction_began_ = clock_.Now();
  }
  flush_pending_ = false;
  absl::Status status;
  const auto write = [&](ProduceRecord record) {
    if (status.ok()) status = producer()->Produce(std::move(record));
  };
  for (ProduceRecord& record : side_records_) write(std::move(record));
  side_records_.clear();
  side_bytes_ = 0;
  for (auto& [partition, owned] : owned_) {
    if (!owned.state || !owned.state->dirty()) continue;
    owned.touched = true;
    owned.state->TakeChanges(write);
  }
  if (!status.ok()) return Abandon(std::move(status));
  unflushed_events_ = 0;
  flushed_at_ = clock_.Now();
  return absl::OkStatus();
}

absl::Status SpeedLayer::Checkpoint() {
  if (!transaction_open_) return absl::OkStatus();
  const absl::Time began = clock_.Now();
  absl::Status written;
  std::vector<std::pair<TopicPartition, Offset>> consumed;
  for (auto& [partition, owned] : owned_) {
    if (!owned.touched) continue;
    owned.state->TakeCounts([&](ProduceRecord record) {
      if (written.ok()) written = producer()->Produce(std::move(record));
    });
    consumed.emplace_back(EventsOf(partition), owned.state->applied());
  }
  if (!written.ok()) return Abandon(std::move(written));
  absl::StatusOr<std::unique_ptr<GroupMembership>> membership = group_->Membership();
  if (!membership.ok()) return Abandon(membership.status());
  // Without consumed positions the broker would not look at the membership.
  if (consumed.empty()) return Abandon(absl::AbortedError("transaction without a partition"));
  absl::Status status = producer()->Commit(consumed, **membership);
  transaction_open_ = false;  // Ended, or in doubt: then the next producer of the same id settles it.
  if (!status.ok()) {
    metrics_.aborts.Increment();
    if (!absl::IsAborted(status)) producer().reset();
    return Abandon(std::move(status));
  }
  turn_ = (turn_ + 1) % producers_.size();
  transaction_events_ = 0;
  for (auto& [partition, owned] : owned_) owned.touched = false;
  committed_at_ = clock_.Now();
  retry_.Succeeded();
  metrics_.commits.Increment();
  metrics_.checkpoint_seconds.Observe(std::max(0.0, absl::ToDoubleSeconds(clock_.Now() - began)));
  return absl::OkStatus();
}

bool SpeedLayer::CheckpointDue() const {
  if (!transaction_open_) return false;
  const absl::Time now = clock_.Now();
  const absl::Duration interval = absl::Milliseconds(options_.config.speed().checkpoint_ms());
  // What was gathered is committed with its flush: the next one is far.
  const bool gathered = behind_since_ && unflushed_events_ == 0 && HasPassed(now, committed_at_, interval);
  return gathered || transaction_events_ >= kMaxTransactionEvents || HasPassed(now, transaction_began_, interval);
}

absl::Status SpeedLayer::Abandon(absl::Status cause) {
  if (transaction_open_) {
    transaction_open_ = false;
    metrics_.aborts.Increment();
    const absl::Status aborted = producer()->Abort();
    if (absl::IsFailedPrecondition(aborted)) return aborted;  // Fenced: another one of the same name is at work.
    // What cannot be aborted now is aborted by the next producer of the same id.
    if (!aborted.ok()) producer().reset();
  }
  transaction_events_ = 0;
  unflushed_events_ = 0;
  side_records_.clear();
  side_bytes_ = 0;
  trimming_ = false;
  flush_pending_ = false;
  for (auto& [partition, owned] : owned_) BeginRestore(partition, owned);
  LOG_EVERY_T(WARNING, 60) << "transaction abandoned, restoring: partitions=" << owned_.size() << " cause=\"" << cause
                           << "\"";
  return cause;
}

void SpeedLayer::MeasureLag() {
  const absl::Time now = clock_.Now();
  for (auto& [partition, owned] : owned_) {
    if (!owned.state || !HasPassed(now, owned.measured_at, kLagInterval)) continue;
    owned.measured_at = now;
    metrics_.Users(partition).Set(static_cast<double>(owned.state->users()));
    metrics_.StateBytes(partition).Set(static_cast<double>(owned.state->state_bytes()));
    metrics_.SpilledUsers(partition).Set(static_cast<double>(owned.state->spilled_users()));
    const int64_t loads = owned.state->loads();
    metrics_.loads.Increment(static_cast<double>(loads - std::exchange(owned.counted_loads, loads)));
    const absl::StatusOr<OffsetRange> range = log_.Offsets(EventsOf(partition), Isolation::kCommitted);
    if (!range.ok()) return;  // A measurement, not a promise; the broker's absence shows elsewhere.
    const int64_t lag = std::max<int64_t>(0, Value(range->end) - Value(owned.state->applied()));
    metrics_.LagEvents(partition).Set(static_cast<double>(lag));
    const absl::Time last = absl::FromUnixMillis(owned.state->last_append_time_unix_ms());
    const bool behind = lag > 0 && owned.state->last_append_time_unix_ms() > 0;
    metrics_.LagSeconds(partition).Set(behind ? std::max(0.0, absl::ToDoubleSeconds(now - last)) : 0);
    return;  // One a round: it asks the broker.
  }
}

absl::Status SpeedLayer::Stop() {
  TRIBUTARY_RETURN_IF_ERROR(Flush());
  return Checkpoint();
}

PartitionState* SpeedLayer::partition(PartitionId partition) {
  const auto it = owned_.find(partition);
  return it == owned_.end() ? nullptr : it->second.state.get();
}

bool SpeedLayer::restoring() const {
  return std::any_of(owned_.begin(), owned_.end(), [](const auto& entry) { return entry.second.state == nullptr; });
}

}  // namespace tributary::speed
