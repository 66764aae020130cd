#include "tests/fakes/fake_event_log.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace tributary {
namespace {

using fake_log::Storage;

// What a producer holds back while the broker is away. Past it ProduceAsync is ResourceExhausted.
constexpr size_t kMaxQueuedRecords = 100'000;

absl::Status BrokerAway() { return absl::UnavailableError("the broker does not answer: brokers=fake"); }

absl::Status OutOfUse(const absl::Status& cause) {
  const std::string message = absl::StrCat("the producer is of no more use: cause=", cause.message());
  return absl::IsFailedPrecondition(cause) ? absl::FailedPreconditionError(message) : absl::UnavailableError(message);
}

}  // namespace

// ---- Operations ----

void FakeEventLog::Interrupt(Operation operation) {
  std::function<void()> meanwhile;
  {
    MutexLock lock(mutex_);
    const auto found = interruptions_.find(operation);
    if (found == interruptions_.end() || found->second.passing-- > 0) {
      return;
    }
    meanwhile = std::move(found->second.meanwhile);
    interruptions_.erase(found);
  }
  meanwhile();
}

absl::Status FakeEventLog::Enter(Operation operation) {
  if (held_.contains(operation)) {
    changed_.Await(mutex_, [&] { return !held_.contains(operation); });
  }
  if (away_) {
    return BrokerAway();
  }
  return InjectedFailure(operation, When::kInstead);
}

absl::Status FakeEventLog::InjectedFailure(Operation operation, When when) {
  const auto found = faults_.find(operation);
  if (found == faults_.end() || found->second.front().when != when) {
    return absl::OkStatus();
  }
  std::deque<Fault>& faults = found->second;
  absl::Status status = faults.front().status;
  if (--faults.front().count == 0) {
    faults.pop_front();
  }
  if (faults.empty()) {
    faults_.erase(found);
  }
  return status;
}

absl::StatusOr<EventPosition> FakeEventLog::Append(ProduceRecord record, fake_log::TransactionNumber transaction) {
  return storage_.Append(std::move(record), transaction, absl::ToUnixMillis(clock_.Now()));
}

absl::StatusOr<std::vector<LogEvent>> FakeEventLog::PollUntil(
    absl::Duration timeout, absl::FunctionRef<absl::Status(std::vector<LogEvent>&)> collect) {
  std::vector<LogEvent> events;
  absl::Status status;
  MutexLock lock(mutex_);
  const auto something = [&]() {
    if (away_ || held_.contains(Operation::kPoll)) {
      return false;
    }
    status = InjectedFailure(Operation::kPoll, When::kInstead);
    if (status.ok()) {
      status = collect(events);
    }
    return !status.ok() || !events.empty();
  };
  if (!something() && timeout > absl::ZeroDuration()) {
    changed_.AwaitFor(mutex_, timeout, something);
  }
  if (away_ && events.empty() && status.ok()) {
    status = BrokerAway();
  }
  TRIBUTARY_RETURN_IF_ERROR(status);
  return events;
}

// ---- Readers ----

class FakeEventLog::Reader final : public LogReader {
 public:
  Reader(FakeEventLog& log, Isolation isolation) : log_(log), isolation_(isolation) {}

  absl::Status Start(const TopicPartition& name, Offset from) override {
    return log_.Run(Operation::kOpen, [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(fake_log::Partition* const partition, log_.storage_.Find(name));
      Remove(name);
      positions_.push_back({.partition = partition, .next = Value(from)});
      return absl::OkStatus();
    });
  }
  absl::Status Stop(const TopicPartition& name) override {
    if (!Remove(name)) {
      return absl::NotFoundError(
          absl::StrCat("partition is not read: topic=", name.topic, " partition=", Value(name.partition)));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) override {
    return log_.PollUntil(timeout, [&](std::vector<LogEvent>& events) { return Collect(max_events, events); });
  }

  // Also for GroupMember, with the log's lock held.
  absl::Status Collect(int max_events, std::vector<LogEvent>& events) {
    const size_t count = positions_.size();
    for (size_t i = 0; i < count && events.size() < static_cast<size_t>(max_events); ++i) {
      // Starts with the partition after the one that began the last round, so that none starves.
      fake_log::Position& position = positions_[(first_ + i) % count];
      TRIBUTARY_RETURN_IF_ERROR(log_.storage_.Read(position, isolation_, static_cast<size_t>(max_events), events));
    }
    if (!events.empty()) {
      ++first_;
    }
    return absl::OkStatus();
  }
  bool Remove(const TopicPartition& name) {
    return std::erase_if(positions_, [&](const fake_log::Position& position) { return position.partition->name == name; }) >
           0;
  }
  void MoveTo(fake_log::Partition* partition, Offset from) {
    Remove(partition->name);
    positions_.push_back({.partition = partition, .next = Value(from)});
  }

 private:
  FakeEventLog& log_;
  const Isolation isolation_;
  std::vector<fake_log::Position> positions_;
  size_t first_ = 0;
};

class FakeEventLog::GroupMember final : public GroupReader {
 public:
  GroupMember(FakeEventLog& log, std::shared_ptr<fake_log::Member> member)
      : log_(log), reader_(log, Isolation::kCommitted), member_(std::move(member)) {}
  ~GroupMember() override {
    log_.Change([&]() {
      member_->alive = false;
      if (member_->instance.empty()) {
        log_.groups_.Leave(*member_, PartitionCounter());
      }
    });
  }

  absl::Status StartAt(const TopicPartition& name, Offset from) override {
    return log_.Run(Operation::kOpen, [&]() -> absl::Status {
      if (std::find(owned_.begin(), owned_.end(), name) == owned_.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("partition is not assigned: topic=", name.topic, " partition=", Value(name.partition)));
      }
      TRIBUTARY_ASSIGN_OR_RETURN(fake_log::Partition* const partition, log_.storage_.Find(name));
      reader_.MoveTo(partition, from);
      return absl::OkStatus();
    });
  }

  absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) override {
    return log_.PollUntil(timeout, [&](std::vector<LogEvent>& events) -> absl::Status {
      if (member_->state == fake_log::Member::State::kGone) {
        return absl::FailedPreconditionError(absl::StrCat(
            member_->fenced ? "fenced by a member of the same instance: group=" : "not a member: group=", member_->group,
            " instance=", member_->instance));
      }
      log_.groups_.JoinAgainIfOut(member_, PartitionCounter());
      // What happened to the group comes first, and alone: records of the partitions it names come after it.
      while (!member_->events.empty() && events.size() < static_cast<size_t>(max_events)) {
        events.push_back(std::move(member_->events.front()));
        member_->events.pop_front();
        Deliver(events.back());
      }
      return events.empty() ? reader_.Collect(max_events, events) : absl::OkStatus();
    });
  }

  absl::Status AcknowledgeRevoked() override {
    return log_.Run(Operation::kOpen, [&]() -> absl::Status {
      if (member_->revoked_delivered) {
        membership_.reset();
      }
      log_.groups_.Acknowledge(member_, PartitionCounter());
      return absl::OkStatus();
    });
  }

  absl::StatusOr<std::unique_ptr<GroupMembership>> Membership() override {
    MutexLock lock(log_.mutex_);
    if (!membership_) {
      return absl::UnavailableError(absl::StrCat("nothing is assigned: group=", member_->group));
    }
    return std::make_unique<fake_log::Membership>(*membership_);
  }

  absl::Status Leave() override {
    return log_.Run(Operation::kOpen, [&]() -> absl::Status {
      membership_.reset();
      owned_.clear();
      log_.groups_.Leave(*member_, PartitionCounter());
      return absl::OkStatus();
    });
  }

 private:
  void Deliver(const LogEvent& event) {
    if (const Assigned* assigned = std::get_if<Assigned>(&event)) {
      owned_ = assigned->partitions;
      membership_.emplace();
      membership_->group = member_->group;
      membership_->member = member_->id;
      membership_->generation = assigned->group_generation;
    } else if (const Revoked* revoked = std::get_if<Revoked>(&event)) {
      for (const TopicPartition& partition : revoked->partitions) {
        reader_.Remove(partition);
      }
      owned_.clear();
      member_->revoked_delivered = true;
    }
  }
  // Lives as long as this object, as a function reference must.
  const std::function<int(const std::string&)>& PartitionCounter() const { return partition_count_; }

  FakeEventLog& log_;
  Reader reader_;
  const std::shared_ptr<fake_log::Member> member_;
  std::vector<TopicPartition> owned_;
  std::optional<fake_log::Membership> membership_;
  const std::function<int(const std::string&)> partition_count_ =
      [this](const std::string& topic) {
        return log_.storage_.PartitionCount(topic).value_or(0);
      };
};

// ---- Producers ----

class FakeEventLog::Producer final : public LogProducer {
 public:
  explicit Producer(FakeEventLog& log) : log_(log) {}
  ~Producer() override {
    for (auto& [record, done] : waiting_) {
      done(absl::UnavailableError("the producer is gone"));
    }
  }

  absl::StatusOr<EventPosition> Produce(ProduceRecord record, absl::Duration) override {
    return log_.Run(Operation::kProduce, [&]() -> absl::StatusOr<EventPosition> {
      SendQueued();
      return log_.Append(std::move(record), 0);
    });
  }
  void ProduceThen(ProduceRecord record, Done done) override {
    MutexLock lock(log_.mutex_);
    waiting_.emplace_back(std::move(record), std::move(done));
    log_.changed_.NotifyAll();
  }
  void Deliver(absl::Duration timeout) override {
    std::deque<std::pair<ProduceRecord, Done>> waiting;
    {
      MutexLock lock(log_.mutex_);
      log_.changed_.AwaitFor(log_.mutex_, timeout, [&] { return !waiting_.empty(); });
      waiting.swap(waiting_);
    }
    for (auto& [record, done] : waiting) {
      done(Produce(std::move(record), absl::ZeroDuration()));
    }
  }
  absl::Status ProduceAsync(ProduceRecord record) override {
    MutexLock lock(log_.mutex_);
    if (queue_.size() >= kMaxQueuedRecords) {
      return absl::ResourceExhaustedError(absl::StrCat("the queue is full: records=", queue_.size()));
    }
    queue_.push_back(std::move(record));
    if (!log_.away_ && !log_.held_.contains(Operation::kProduce)) {
      SendQueued();
      log_.changed_.NotifyAll();
    }
    return absl::OkStatus();
  }
  absl::Status Flush(absl::Duration) override {
    return log_.Run(Operation::kFlush, [&]() -> absl::Status {
      SendQueued();
      return std::exchange(first_failure_, absl::OkStatus());
    });
  }

 private:
  void SendQueued() {
    for (ProduceRecord& record : queue_) {
      absl::Status status = log_.InjectedFailure(Operation::kProduce, When::kInstead);
      if (status.ok()) {
        status = log_.Append(std::move(record), 0).status();
        status.Update(log_.InjectedFailure(Operation::kProduce, When::kAfter));
      }
      first_failure_.Update(status);
    }
    queue_.clear();
  }

  FakeEventLog& log_;
  std::deque<ProduceRecord> queue_;
  std::deque<std::pair<ProduceRecord, Done>> waiting_;
  absl::Status first_failure_;
};

class FakeEventLog::Transactions final : public TransactionalProducer {
 public:
  Transactions(FakeEventLog& log, std::string id, int32_t epoch) : log_(log), id_(std::move(id)), epoch_(epoch) {}
  ~Transactions() override {
    MutexLock lock(log_.mutex_);
    log_.storage_.Abandon(id_, epoch_);
  }

  absl::Status Begin() override {
    return log_.Run(Operation::kBegin, [&]() -> absl::Status {
      TRIBUTARY_RETURN_IF_ERROR(Usable());
      if (transaction_ != 0) {
        return absl::InvalidArgumentError(absl::StrCat("a transaction is open already: transactional_id=", id_));
      }
      TRIBUTARY_ASSIGN_OR_RETURN(transaction_, log_.storage_.Begin(id_));
      return absl::OkStatus();
    });
  }

  absl::Status Produce(ProduceRecord record) override {
    log_.Interrupt(Operation::kProduce);
    MutexLock lock(log_.mutex_);
    TRIBUTARY_RETURN_IF_ERROR(Usable());
    TRIBUTARY_RETURN_IF_ERROR(Open());
    if (unsent_.size() >= kMaxQueuedRecords) {
      return absl::UnavailableError(absl::StrCat("the queue is full: records=", unsent_.size()));
    }
    unsent_.push_back(std::move(record));
    if (!log_.away_ && !log_.held_.contains(Operation::kProduce)) {
      Send();
      log_.changed_.NotifyAll();
    }
    return absl::OkStatus();
  }

  absl::Status Commit(absl::Span<const std::pair<TopicPartition, Offset>> consumed,
                      const GroupMembership& membership) override {
    absl::Status status =
        log_.Run(Operation::kCommit, [&]() { return CommitHere(consumed, membership); });
    if (absl::IsUnavailable(status) || absl::IsFailedPrecondition(status)) {
      broken_.Update(status);
    } else if (absl::IsAborted(status)) {
      log_.Change([&]() { End(Storage::Outcome::kAborted); });  // An injected one too.
    }
    return status;
  }

  absl::Status Abort() override {
    return log_.Run(Operation::kAbort, [&]() -> absl::Status {
      TRIBUTARY_RETURN_IF_ERROR(Usable());
      TRIBUTARY_RETURN_IF_ERROR(Open());
      End(Storage::Outcome::kAborted);
      return absl::OkStatus();
    });
  }

 private:
  absl::Status CommitHere(absl::Span<const std::pair<TopicPartition, Offset>> consumed,
                          const GroupMembership& membership) {
    TRIBUTARY_RETURN_IF_ERROR(Usable());
    TRIBUTARY_RETURN_IF_ERROR(Open());
    Send();
    const auto* own = dynamic_cast<const fake_log::Membership*>(&membership);
    if (own == nullptr && !consumed.empty()) {
      return absl::InvalidArgumentError("the membership is not of this log");
    }
    absl::Status status = failure_;
    if (status.ok() && !consumed.empty()) {
      status = log_.groups_.Check(*own);
    }
    if (!status.ok()) {
      End(Storage::Outcome::kAborted);
      return absl::AbortedError(
          absl::StrCat("transaction aborted: transactional_id=", id_, " cause=", status.message()));
    }
    if (!consumed.empty()) {
      log_.groups_.StoreOffsets(own->group, consumed);
    }
    End(Storage::Outcome::kCommitted);
    return absl::OkStatus();
  }
  void Send() {
    for (ProduceRecord& record : unsent_) {
      // An idempotent producer's records stay in order: none follows one that is missing.
      if (!failure_.ok()) {
        break;
      }
      failure_ = log_.InjectedFailure(Operation::kProduce, When::kInstead);
      if (failure_.ok()) {
        failure_ = log_.Append(std::move(record), transaction_).status();
        failure_.Update(log_.InjectedFailure(Operation::kProduce, When::kAfter));
      }
    }
    unsent_.clear();
  }
  void End(Storage::Outcome outcome) {
    if (transaction_ != 0) {
      log_.storage_.End(id_, outcome);
    }
    transaction_ = 0;
    unsent_.clear();
    failure_ = absl::OkStatus();
  }
  absl::Status Usable() const {
    TRIBUTARY_RETURN_IF_ERROR(log_.storage_.CheckEpoch(id_, epoch_));
    return broken_.ok() ? absl::OkStatus() : OutOfUse(broken_);
  }
  absl::Status Open() const {
    if (transaction_ == 0) {
      return absl::InvalidArgumentError(absl::StrCat("no transaction is open: transactional_id=", id_));
    }
    return absl::OkStatus();
  }

  FakeEventLog& log_;
  const std::string id_;
  const int32_t epoch_;
  fake_log::TransactionNumber transaction_ = 0;
  std::deque<ProduceRecord> unsent_;
  absl::Status failure_;   // Of a record of this transaction.
  absl::Status broken_;    // Ended the use of this object.
};

// ---- EventLog ----

absl::StatusOr<std::unique_ptr<LogReader>> FakeEventLog::OpenReader(Isolation isolation) {
  return Run(Operation::kOpen, [&]() -> absl::StatusOr<std::unique_ptr<LogReader>> {
    return std::make_unique<Reader>(*this, isolation);
  });
}

absl::StatusOr<std::unique_ptr<GroupReader>> FakeEventLog::JoinGroup(const GroupReaderOptions& options) {
  return Run(Operation::kOpen, [&]() -> absl::StatusOr<std::unique_ptr<GroupReader>> {
    TRIBUTARY_RETURN_IF_ERROR(storage_.PartitionCount(options.topic).status());
    const auto count = [&](const std::string& topic)
                           { return storage_.PartitionCount(topic).value_or(0); };
    return std::make_unique<GroupMember>(*this, groups_.Join(options, count));
  });
}

absl::StatusOr<std::unique_ptr<LogProducer>> FakeEventLog::OpenProducer() {
  return Run(Operation::kOpen,
             [&]() -> absl::StatusOr<std::unique_ptr<LogProducer>> { return std::make_unique<Producer>(*this); });
}

absl::StatusOr<std::unique_ptr<TransactionalProducer>> FakeEventLog::OpenTransactionalProducer(
    const std::string& transactional_id) {
  return Run(Operation::kOpen,
             [&]() -> absl::StatusOr<std::unique_ptr<TransactionalProducer>> {
               TRIBUTARY_ASSIGN_OR_RETURN(const int32_t epoch, storage_.OpenProducer(transactional_id));
               return std::make_unique<Transactions>(*this, transactional_id, epoch);
             });
}

absl::Status FakeEventLog::CreateTopics(absl::Span<const TopicOptions> topics) {
  return Run(Operation::kAdmin, [&]() -> absl::Status {
    for (const TopicOptions& options : topics) {
      TRIBUTARY_RETURN_IF_ERROR(storage_.Create(options));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<int> FakeEventLog::PartitionCount(const std::string& topic) {
  return Run(Operation::kAdmin, [&]() { return storage_.PartitionCount(topic); });
}

absl::StatusOr<OffsetRange> FakeEventLog::Offsets(const TopicPartition& name, Isolation isolation) {
  return Run(Operation::kAdmin, [&]() -> absl::StatusOr<OffsetRange> {
    TRIBUTARY_ASSIGN_OR_RETURN(const fake_log::Partition* const partition, storage_.Find(name));
    return OffsetRange{Offset{partition->begin},
                       Offset{isolation == Isolation::kCommitted ? partition->LastStable() : partition->end}};
  });
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> FakeEventLog::TopicConfig(const std::string& topic) {
  return Run(Operation::kAdmin, [&]() { return storage_.Config(topic); });
}

}  // namespace tributary
