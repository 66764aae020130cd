// Reads what a consumer group assigns.
//
// librdkafka tells of rebalances by a callback, within Poll and on its thread. The callback only notes the event for the
// owner and leaves librdkafka waiting: for the assignment with an empty one (so nothing is read), for the revocation until
// the owner acknowledges. Partitions are assigned to librdkafka as the owner starts them, all started ones anew with the
// positions that the owner has reached: pausing and seeking them instead is where librdkafka 2.0 rewinds.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/client.h"
#include "common/kafka/unread_check.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::kafka {
namespace {

// A callback does not end librdkafka's wait for a record; so waits come in slices.
constexpr absl::Duration kWaitSlice = absl::Milliseconds(20);
constexpr absl::Duration kLeaveTimeout = absl::Seconds(5);
// A member that does not poll for so long is taken for dead.
constexpr absl::Duration kMaxPollInterval = absl::Minutes(5);

using Metadata = std::shared_ptr<rd_kafka_consumer_group_metadata_t>;

std::string Serialized(const rd_kafka_consumer_group_metadata_t* metadata) {
  void* buffer = nullptr;
  size_t bytes = 0;
  const ErrorPtr error(rd_kafka_consumer_group_metadata_write(metadata, &buffer, &bytes));
  CHECK(error == nullptr) << rd_kafka_error_string(error.get());
  std::string text(static_cast<const char*>(buffer), bytes);
  rd_kafka_mem_free(nullptr, buffer);
  return text;
}

// librdkafka has no getter for the generation, but writes it as it lies in memory into the serialized form, whose layout
// is its own business. Where is found by writing a generation that we know.
size_t GenerationPosition() {
  constexpr int32_t kKnown = 0x5a6b7c1d;
  const MembershipPtr known(rd_kafka_consumer_group_metadata_new_with_genid("g", kKnown, "m", nullptr));
  std::string bytes(sizeof(kKnown), '\0');
  std::memcpy(bytes.data(), &kKnown, sizeof(kKnown));
  const size_t position = Serialized(known.get()).find(bytes);
  CHECK_NE(position, std::string::npos) << "this librdkafka does not write the group generation as an integer";
  return position;
}

int32_t GenerationOf(const rd_kafka_consumer_group_metadata_t* metadata) {
  static const size_t position = GenerationPosition();
  const std::string bytes = Serialized(metadata);
  int32_t generation = 0;
  CHECK_LE(position + sizeof(generation), bytes.size());
  std::memcpy(&generation, bytes.data() + position, sizeof(generation));
  return generation;
}

class Member final : public GroupReader {
 public:
  explicit Member(const GroupReaderOptions& options) : options_(options) {}
  ~Member() override {
    if (client_ == nullptr || left_) {
      return;
    }
    unread_check_.reset();
    if (options_.instance.empty()) {
      if (absl::Status status = Leave(); !status.ok()) {
        LOG(WARNING) << status;
      }
    } else {
      queue_.reset();
      client_->Abandon();
    }
  }

  absl::Status Open(const v1::KafkaConfig& config) {
    Settings settings = ConsumerSettings(Isolation::kCommitted);
    settings.emplace_back("group.id", options_.group);
    if (!options_.instance.empty()) {
      settings.emplace_back("group.instance.id", options_.instance);
    }
    const absl::Duration heartbeat = std::max(options_.session_timeout / 10, absl::Milliseconds(50));
    settings.emplace_back("session.timeout.ms", absl::StrCat(Milliseconds(options_.session_timeout)));
    settings.emplace_back("heartbeat.interval.ms", absl::StrCat(Milliseconds(heartbeat)));
    settings.emplace_back("max.poll.interval.ms",
                          absl::StrCat(Milliseconds(std::max(kMaxPollInterval, options_.session_timeout))));
    settings.emplace_back("partition.assignment.strategy", "range");
    TRIBUTARY_ASSIGN_OR_RETURN(
        client_, Client::Open(config, RD_KAFKA_CONSUMER, settings,
                              {.rebalance = [this](rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* which) {
                                OnRebalance(what, which);
                              }}));
    TRIBUTARY_RETURN_IF_ERROR(PartitionCount(client_->get(), options_.topic).status());
    rd_kafka_poll_set_consumer(client_->get());
    queue_.reset(rd_kafka_queue_get_consumer(client_->get()));
    TRIBUTARY_RETURN_IF_ERROR(Subscribe());
    unread_check_.emplace(client_->get(), options_);
    return absl::OkStatus();
  }

  absl::Status StartAt(const TopicPartition& partition, Offset from) override {
    if (std::find(owned_.begin(), owned_.end(), partition) == owned_.end()) {
      return absl::InvalidArgumentError(absl::StrCat("partition is not assigned: ", Name(partition), " ", Self()));
    }
    if (Value(from) < 0) {
      return absl::InvalidArgumentError(absl::StrCat("not an offset: ", Name(partition), " offset=", Value(from)));
    }
    started_[Value(partition.partition)] = {.next = Value(from)};
    reassign_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<LogEvent>> Poll(absl::Duration timeout, int max_events) override {
    if (left_) {
      return absl::FailedPreconditionError(absl::StrCat("not a member: ", Self()));
    }
    const absl::Time deadline = absl::Now() + timeout;
    if (unread_check_->TakeFound()) {
      TRIBUTARY_RETURN_IF_ERROR(Subscribe());
    }
    while (true) {
      TRIBUTARY_RETURN_IF_ERROR(std::exchange(deferred_, absl::OkStatus()));
      TRIBUTARY_RETURN_IF_ERROR(AssignStarted());
      const absl::Duration left = deadline - absl::Now();
      std::vector<LogEvent> records = Records(std::min(left, kWaitSlice), max_events);
      if (!changes_.empty()) {
        return Changes(max_events);  // What was read beside them is of partitions that are gone.
      }
      if (!records.empty()) {
        return records;
      }
      TRIBUTARY_RETURN_IF_ERROR(std::exchange(deferred_, absl::OkStatus()));
      TRIBUTARY_RETURN_IF_ERROR(client_->Fatal());
      TRIBUTARY_RETURN_IF_ERROR(client_->TakeBrokersDown());
      if (left <= absl::ZeroDuration()) {
        return records;
      }
    }
  }

  absl::Status AcknowledgeRevoked() override {
    if (!revoked_delivered_) {
      return absl::OkStatus();
    }
    revoked_delivered_ = false;
    membership_.reset();
    return Assign(nullptr);
  }

  absl::StatusOr<std::unique_ptr<GroupMembership>> Membership() override {
    if (membership_ == nullptr) {
      return absl::UnavailableError(absl::StrCat("nothing is assigned: ", Self()));
    }
    return std::make_unique<kafka::Membership>(membership_);
  }

  absl::Status Leave() override {
    if (left_) {
      return absl::OkStatus();
    }
    left_ = true;
    unread_check_.reset();
    owned_.clear();
    started_.clear();
    membership_.reset();
    changes_.clear();
    rd_kafka_unsubscribe(client_->get());
    (void)Assign(nullptr);  // If a revocation was waiting for it.
    // Closing a static member says nothing to the group, unsubscribing does: so first that, to its end, which is when
    // librdkafka has given up the member id.
    const absl::Time deadline = absl::Now() + kLeaveTimeout;
    while (absl::Now() < deadline && !MemberId().empty()) {
      NextMessages(queue_.get(), kWaitSlice, 100);
    }
    queue_.reset();
    if (const rd_kafka_resp_err_t error = rd_kafka_consumer_close(client_->get());
        error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return ToStatus(error, absl::StrCat("group not left: ", Self()));
    }
    return absl::OkStatus();
  }

 private:
  struct Started {
    int64_t next = 0;              // Of the next record.
    int64_t reported_end = -1;     // Of the last EndOfPartition.
  };
  struct Change {
    LogEvent event;
    Metadata membership;           // With Assigned.
  };
  struct Stay {
    std::string member_id;
    int32_t generation = 0;
  };

  std::string Self() const { return absl::StrCat("group=", options_.group, " instance=", options_.instance); }

  // Empty: not a member.
  std::string MemberId() const {
    char* id = rd_kafka_memberid(client_->get());
    std::string copy = id == nullptr ? "" : id;
    if (id != nullptr) {
      rd_kafka_mem_free(client_->get(), id);
    }
    return copy;
  }

  // Joins the group, also anew.
  absl::Status Subscribe() {
    const ListPtr topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
    return ToStatus(rd_kafka_subscribe(client_->get(), topics.get()), absl::StrCat("not subscribed: ", Self()));
  }

  absl::Status Assign(const rd_kafka_topic_partition_list_t* partitions) {
    return ToStatus(rd_kafka_assign(client_->get(), partitions), absl::StrCat("assignment refused: ", Self()));
  }

  void OnRebalance(rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* which) {
    std::vector<TopicPartition> partitions;
    for (int i = 0; i < which->cnt; ++i) {
      partitions.push_back({which->elems[i].topic, PartitionId{which->elems[i].partition}});
    }
    std::sort(partitions.begin(), partitions.end());
    if (left_) {
      (void)Assign(nullptr);
    } else if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      Metadata membership(rd_kafka_consumer_group_metadata(client_->get()),
                          Destroy<rd_kafka_consumer_group_metadata_destroy>());
      const Stay stay{.member_id = MemberId(), .generation = GenerationOf(membership.get())};
      // A member that was taken for dead in between has another id; one that comes late for a generation has missed it.
      const bool unbroken = gave_up_ && gave_up_->member_id == stay.member_id &&
                            (stay.generation == gave_up_->generation || stay.generation == gave_up_->generation + 1);
      assigned_ = stay;
      changes_.push_back({Assigned{std::move(partitions), stay.generation, unbroken}, std::move(membership)});
      const ListPtr none(rd_kafka_topic_partition_list_new(0));
      deferred_.Update(Assign(none.get()));
    } else {
      if (what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        deferred_.Update(ToStatus(what, absl::StrCat("rebalance failed: ", Self())));
      }
      started_.clear();
      reassign_ = false;
      const bool lost = what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS || rd_kafka_assignment_lost(client_->get()) != 0;
      gave_up_ = std::exchange(assigned_, std::nullopt);
      if (lost) {
        gave_up_.reset();
      }
      if (partitions.empty()) {
        deferred_.Update(Assign(nullptr));
      } else {
        changes_.push_back({Revoked{std::move(partitions), lost}, nullptr});
      }
    }
  }

  absl::Status AssignStarted() {
    if (!std::exchange(reassign_, false)) {
      return absl::OkStatus();
    }
    const ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(started_.size())));
    for (const auto& [partition, started] : started_) {
      rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition)->offset = started.next;
    }
    return Assign(list.get());
  }

  // Polls librdkafka: what it read of started partitions. Rebalances go to changes_, errors to deferred_.
  std::vector<LogEvent> Records(absl::Duration timeout, int max_events) {
    const std::vector<MessagePtr> messages = NextMessages(queue_.get(), timeout, max_events);
    waker_.Took(client_->get(), messages, max_events);
    std::vector<LogEvent> events;
    events.reserve(messages.size());
    for (const MessagePtr& message : messages) {
      const auto found = started_.find(message->partition);
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (found != started_.end()) {
          AppendRecord(*message, &events);
          found->second.next = message->offset + 1;
        }
        continue;
      }
      const size_t before = events.size();
      const absl::Status status = AppendEvent(*message, &events);
      if (absl::IsOutOfRange(status)) {
        started_.erase(message->partition);  // Rests until it is started again.
      }
      deferred_.Update(status);
      if (events.size() > before) {
        const int64_t end = Value(std::get<EndOfPartition>(events.back()).position);
        // Not where it is not read any more, and not again because the partition was assigned to librdkafka again.
        if (found == started_.end() || std::exchange(found->second.reported_end, end) == end) {
          events.pop_back();
        }
        if (found != started_.end()) {
          found->second.next = end;
        }
      }
    }
    return events;
  }

  std::vector<LogEvent> Changes(int max_events) {
    std::vector<LogEvent> events;
    while (!changes_.empty() && events.size() < static_cast<size_t>(max_events)) {
      Change& change = changes_.front();
      if (const Assigned* assigned = std::get_if<Assigned>(&change.event)) {
        owned_ = assigned->partitions;
        membership_ = change.membership;
      } else {
        owned_.clear();
        revoked_delivered_ = true;
      }
      events.push_back(std::move(change.event));
      changes_.pop_front();
    }
    return events;
  }

  const GroupReaderOptions options_;
  std::unique_ptr<Client> client_;
  QueuePtr queue_;
  std::optional<UnreadCheck> unread_check_;   // While a member.
  std::deque<Change> changes_;                // Not delivered yet.
  std::optional<Stay> assigned_;              // As which member, and in which generation, partitions were assigned last,
  std::optional<Stay> gave_up_;               // and given up; unset when they were lost.
  std::vector<TopicPartition> owned_;         // By the delivered ones.
  std::map<int32_t, Started> started_;        // By partition.
  FetchWaker waker_;
  bool reassign_ = false;                     // started_ has changed since it was assigned.
  bool revoked_delivered_ = false;            // And not acknowledged.
  bool left_ = false;
  Metadata membership_;                       // Of the last delivered Assigned.
  absl::Status deferred_;                     // For the next Poll.
};

}  // namespace

absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const v1::KafkaConfig& config, const GroupReaderOptions& options) {
  auto member = std::make_unique<Member>(options);
  TRIBUTARY_RETURN_IF_ERROR(member->Open(config));
  return member;
}

}  // namespace tributary::kafka
