#include "common/kafka/client.h"

#include <algorithm>
#include <array>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/sync/mutex.h"
#include "glog/logging.h"

namespace tributary::kafka {
namespace {

constexpr absl::Duration kLogInterval = absl::Minutes(1);
constexpr size_t kMaxLogCauses = 256;

// A broker that is not there is told by who needs it, in one line with the brokers' names (TakeBrokersDown).
bool IsToldByUs(absl::string_view cause, absl::string_view text) {
  return cause == rd_kafka_err2name(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) || absl::StrContains(text, "Connection refused");
}

// Called on librdkafka's own threads. An equal cause (its short name, as FAIL or REQTMOUT) is told once a minute.
void OnLog(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  if (IsToldByUs(facility, text)) {
    VLOG(1) << "librdkafka: cause=" << facility << " client=" << rd_kafka_name(handle) << " " << text;
    return;
  }
  static Mutex mutex;
  static auto& last_told = *new std::map<std::string, absl::Time>();
  const absl::Time now = absl::Now();
  {
    MutexLock lock(mutex);
    if (last_told.size() > kMaxLogCauses) {
      last_told.clear();
    }
    const auto [entry, is_new] = last_told.emplace(facility, now);
    if (!is_new && now - entry->second < kLogInterval) {
      return;
    }
    entry->second = now;
  }
  constexpr int kSyslogError = 3;
  constexpr int kSyslogWarning = 4;
  if (level <= kSyslogError) {
    LOG(ERROR) << "librdkafka: cause=" << facility << " client=" << rd_kafka_name(handle) << " " << text;
  } else if (level == kSyslogWarning) {
    LOG(WARNING) << "librdkafka: cause=" << facility << " client=" << rd_kafka_name(handle) << " " << text;
  } else {
    LOG(INFO) << "librdkafka: cause=" << facility << " client=" << rd_kafka_name(handle) << " " << text;
  }
}

absl::StatusCode CodeOf(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return absl::StatusCode::kOk;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
      return absl::StatusCode::kFailedPrecondition;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return absl::StatusCode::kNotFound;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return absl::StatusCode::kOutOfRange;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return absl::StatusCode::kInvalidArgument;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return absl::StatusCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 512> reason;
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason.data(), reason.size()) != RD_KAFKA_CONF_OK) {
    // Not the value: it may be a password.
    return absl::InvalidArgumentError(
        absl::StrCat("librdkafka refuses a client property: property=", name, " cause=", reason.data()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ToStatus(rd_kafka_resp_err_t error, absl::string_view what, absl::string_view detail) {
  return absl::Status(CodeOf(error), absl::StrCat(what, " cause=", rd_kafka_err2name(error), " (",
                                                  detail.empty() ? rd_kafka_err2str(error) : detail, ")"));
}

absl::Status ToStatus(const rd_kafka_error_t* error, absl::string_view what) {
  if (error == nullptr) {
    return absl::OkStatus();
  }
  const absl::Status status = ToStatus(rd_kafka_error_code(error), what, rd_kafka_error_string(error));
  if (rd_kafka_error_is_fatal(error)) {
    return absl::FailedPreconditionError(status.message());
  }
  if (rd_kafka_error_txn_requires_abort(error)) {
    return absl::AbortedError(status.message());
  }
  return rd_kafka_error_is_retriable(error) ? absl::UnavailableError(status.message()) : status;
}

std::string Name(const TopicPartition& partition) {
  return absl::StrCat("topic=", partition.topic, " partition=", Value(partition.partition));
}

std::string Brokers(const v1::KafkaConfig& config) {
  return config.brokers().empty() ? "127.0.0.1:9092" : config.brokers();
}

int Milliseconds(absl::Duration duration) {
  constexpr int64_t kLongest = 1'000'000'000;
  return static_cast<int>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(absl::Ceil(duration, absl::Milliseconds(1))), 0, kLongest));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Open(const v1::KafkaConfig& config, rd_kafka_type_t type,
                                                     const Settings& settings, Callbacks callbacks) {
  const std::string brokers = Brokers(config);
  std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>> conf(rd_kafka_conf_new());
  Settings all = {{"bootstrap.servers", brokers},
                  {"client.id", "tributary"},
                  {"socket.nagle.disable", "true"},
                  {"reconnect.backoff.ms", "50"},
                  {"reconnect.backoff.max.ms", "1000"},
                  {"topic.metadata.refresh.interval.ms", "30000"}};
  all.insert(all.end(), settings.begin(), settings.end());
  for (const auto& [name, value] : config.client()) {
    all.emplace_back(name, value);
  }
  for (const auto& [name, value] : all) {
    if (absl::Status status = Set(conf.get(), name, value); !status.ok()) {
      return status;
    }
  }

  std::unique_ptr<Client> client(new Client(brokers, std::move(callbacks)));
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_log_cb(conf.get(), OnLog);
  rd_kafka_conf_set_error_cb(conf.get(), OnError);
  if (client->callbacks_.rebalance) {
    rd_kafka_conf_set_rebalance_cb(conf.get(), OnRebalance);
  }
  if (client->callbacks_.delivered) {
    rd_kafka_conf_set_dr_msg_cb(conf.get(), OnDelivered);
  }
  std::array<char, 512> reason;
  client->handle_ = rd_kafka_new(type, conf.get(), reason.data(), reason.size());
  if (client->handle_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("librdkafka refuses the client properties: cause=", reason.data()));
  }
  conf.release();  // The handle owns it now.
  return client;
}

Client::~Client() {
  {
    MutexLock lock(topics_mutex_);
    known_topics_.clear();  // Before the handle that they belong to.
  }
  if (handle_ != nullptr) {
    rd_kafka_destroy(handle_);
  }
}

void Client::Abandon() {
  rd_kafka_destroy_flags(handle_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  handle_ = nullptr;
}

absl::Status Client::TakeBrokersDown() {
  if (brokers_down_.exchange(false)) {
    return absl::UnavailableError(absl::StrCat("no broker answers: brokers=", brokers_));
  }
  return absl::OkStatus();
}

absl::Status Client::Fatal() const {
  std::array<char, 512> reason;
  const rd_kafka_resp_err_t error = rd_kafka_fatal_error(handle_, reason.data(), reason.size());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the Kafka client is of no more use: cause=", rd_kafka_err2name(error), " (", reason.data(), ")"));
}

absl::StatusOr<rd_kafka_topic_t*> Client::LearnTopic(const std::string& topic) {
  rd_kafka_topic_t* handle = nullptr;
  {
    MutexLock lock(topics_mutex_);
    KnownTopic& known = known_topics_[topic];
    if (known.handle == nullptr) {
      known.handle.reset(rd_kafka_topic_new(handle_, topic.c_str(), nullptr));
    }
    handle = known.handle.get();
    if (handle == nullptr) {
      return ToStatus(rd_kafka_last_error(), absl::StrCat("not a topic: topic=", topic));
    }
    if (known.learnt) {
      return handle;
    }
  }
  const absl::Status status = PartitionCount(handle_, topic).status();  // Not locked: it takes as long as the broker takes.
  if (status.ok()) {
    MutexLock lock(topics_mutex_);
    known_topics_[topic].learnt = true;
  } else if (!absl::IsUnavailable(status)) {
    return status;
  }
  return handle;
}

void Client::OnError(rd_kafka_t*, int error, const char* reason, void* self) {
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    static_cast<Client*>(self)->brokers_down_ = true;
  }
  OnLog(static_cast<Client*>(self)->handle_, 4, rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(error)), reason);
}

void Client::OnRebalance(rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions,
                         void* self) {
  static_cast<Client*>(self)->callbacks_.rebalance(error, partitions);
}

void Client::OnDelivered(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
  static_cast<Client*>(self)->callbacks_.delivered(*message);
}

}  // namespace tributary::kafka
