#ifndef TRIBUTARY_COMMON_KAFKA_CLIENT_H_
#define TRIBUTARY_COMMON_KAFKA_CLIENT_H_

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"
#include "common/sync/mutex.h"
#include "tributary/v1/config.pb.h"

// A librdkafka handle and its C types, owned. Private to common/kafka: nothing outside includes librdkafka.
namespace tributary::kafka {

// How long the first contact with a broker may take.
inline constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
// Admin calls and offset queries.
inline constexpr absl::Duration kRequestTimeout = absl::Seconds(10);
// Between looks at whether a partition has a leader again.
inline constexpr absl::Duration kLeaderPause = absl::Milliseconds(10);
// A transaction older than this is aborted by the broker; also the limit of one attempt to commit or abort.
inline constexpr absl::Duration kTransactionTimeout = absl::Seconds(10);
// How long librdkafka tries to deliver a record outside of transactions: a broker that is started again is there in time.
inline constexpr absl::Duration kDeliveryTimeout = absl::Seconds(10);

template <auto kFunction>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    kFunction(object);
  }
};
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, Destroy<rd_kafka_error_destroy>>;
using ListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, Destroy<rd_kafka_topic_partition_list_destroy>>;
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using EventPtr = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using MessagePtr = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using MembershipPtr =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, Destroy<rd_kafka_consumer_group_metadata_destroy>>;

using Settings = std::vector<std::pair<std::string, std::string>>;

// `what` says what failed, with key=value.
absl::Status ToStatus(rd_kafka_resp_err_t error, absl::string_view what, absl::string_view detail = "");
// Takes the error's own word for fatal, abortable (Aborted) and retriable (Unavailable).
absl::Status ToStatus(const rd_kafka_error_t* error, absl::string_view what);
std::string Name(const TopicPartition& partition);
// The configured ones, or the default.
std::string Brokers(const v1::KafkaConfig& config);
int Milliseconds(absl::Duration duration);

class Client {
 public:
  // Called within the client's own poll calls, on their thread.
  struct Callbacks {
    std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)> rebalance;
    std::function<void(const rd_kafka_message_t&)> delivered;
  };

  static absl::StatusOr<std::unique_ptr<Client>> Open(const v1::KafkaConfig& config, rd_kafka_type_t type,
                                                      const Settings& settings, Callbacks callbacks);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  rd_kafka_t* get() const { return handle_; }
  // Closes as a crash would: a group is not told.
  void Abandon();
  // Unavailable once for each time that all brokers were lost.
  absl::Status TakeBrokersDown();
  // FailedPrecondition after a fatal error.
  absl::Status Fatal() const;
  // librdkafka's handle of a topic, ours as long as the client. A broker is asked for one that was not asked for yet:
  // before the first record, since librdkafka itself asks for a topic that a connected producer names first only within
  // a second, and tells that there is none only after several. NotFound: there is none; a broker that does not answer
  // is no error. Thread-safe.
  absl::StatusOr<rd_kafka_topic_t*> LearnTopic(const std::string& topic);

 private:
  Client(std::string brokers, Callbacks callbacks) : brokers_(std::move(brokers)), callbacks_(std::move(callbacks)) {}
  static void OnError(rd_kafka_t* handle, int error, const char* reason, void* self);
  static void OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions,
                          void* self);
  static void OnDelivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* self);

  const std::string brokers_;
  const Callbacks callbacks_;
  std::atomic<bool> brokers_down_{false};
  Mutex topics_mutex_;
  struct KnownTopic {
    TopicPtr handle;
    bool learnt = false;  // A broker has said that it is there.
  };
  absl::flat_hash_map<std::string, KnownTopic> known_topics_ ABSL_GUARDED_BY(topics_mutex_);
  rd_kafka_t* handle_ = nullptr;
};

// What all consumers have in common.
Settings ConsumerSettings(Isolation isolation);
// What all producers have in common.
Settings ProducerSettings();
// Of a message that is no error.
void AppendRecord(const rd_kafka_message_t& message, std::vector<LogEvent>* events);
// A record or an end of partition; nothing for what librdkafka mends by itself; else the error.
absl::Status AppendEvent(const rd_kafka_message_t& message, std::vector<LogEvent>* events);
// Up to `max_messages`, waiting for the first. Callbacks are called within.
std::vector<MessagePtr> NextMessages(rd_kafka_queue_t* queue, absl::Duration timeout, int max_messages);
// Gets librdkafka 2.0 to fetch again. When as much is waiting as may, it looks only after a second whether there is room, or
// when there is something to do for the same broker: so a reader that has suddenly nothing left asks that broker something.
class FetchWaker {
 public:
  // After each batch: what came of at most how many.
  void Took(rd_kafka_t* handle, const std::vector<MessagePtr>& messages, int max_messages);

 private:
  bool was_full_ = false;   // The batch before.
};

// Hands a record over to be sent. ResourceExhausted: the queue is full.
absl::Status Send(rd_kafka_t* handle, rd_kafka_topic_t* topic, const ProduceRecord& record, void* opaque);

// The number of partitions, asked of a broker. NotFound: no such topic.
absl::StatusOr<int> PartitionCount(rd_kafka_t* handle, const std::string& topic,
                                   absl::Duration timeout = kRequestTimeout);
// How many partitions of the topic the group's members have. Unavailable: they are just being dealt out.
absl::StatusOr<int> AssignedPartitions(rd_kafka_t* handle, const std::string& group, const std::string& topic,
                                       absl::Duration timeout);

// The rest of EventLog, each in a file of its own.
absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const v1::KafkaConfig& config, Isolation isolation);
absl::StatusOr<std::unique_ptr<GroupReader>> JoinGroup(const v1::KafkaConfig& config, const GroupReaderOptions& options);
absl::StatusOr<std::unique_ptr<LogProducer>> OpenProducer(const v1::KafkaConfig& config);
absl::StatusOr<std::unique_ptr<TransactionalProducer>> OpenTransactionalProducer(const v1::KafkaConfig& config,
                                                                                 const std::string& transactional_id);
absl::Status CreateTopics(rd_kafka_t* handle, absl::Span<const TopicOptions> topics);
absl::StatusOr<Settings> TopicConfig(rd_kafka_t* handle, const std::string& topic);

// What a group reader proves its membership with.
struct Membership final : GroupMembership {
  explicit Membership(std::shared_ptr<rd_kafka_consumer_group_metadata_t> proof) : metadata(std::move(proof)) {}
  std::shared_ptr<rd_kafka_consumer_group_metadata_t> metadata;
};

}  // namespace tributary::kafka

#endif  // TRIBUTARY_COMMON_KAFKA_CLIENT_H_
