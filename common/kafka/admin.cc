// Topics: how many partitions, making them, their settings.
#include <librdkafka/rdkafka.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"

namespace tributary::kafka {
namespace {

using OptionsPtr = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using NewTopicPtr = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using ResourcePtr = std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<rd_kafka_ConfigResource_destroy>>;

absl::StatusOr<OptionsPtr> RequestOptions(rd_kafka_t* handle, rd_kafka_admin_op_t operation,
                                          absl::Duration timeout = kRequestTimeout) {
  OptionsPtr options(rd_kafka_AdminOptions_new(handle, operation));
  std::array<char, 512> reason;
  const rd_kafka_resp_err_t error = rd_kafka_AdminOptions_set_request_timeout(options.get(), Milliseconds(timeout),
                                                                              reason.data(), reason.size());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ToStatus(error, "admin request refused:", reason.data());
  }
  return options;
}

absl::StatusOr<EventPtr> Answer(const QueuePtr& queue, absl::string_view what,
                                absl::Duration timeout = kRequestTimeout) {
  EventPtr event(rd_kafka_queue_poll(queue.get(), Milliseconds(timeout + absl::Seconds(1))));
  if (event == nullptr) {
    return absl::UnavailableError(absl::StrCat(what, " cause=no answer"));
  }
  if (const rd_kafka_resp_err_t error = rd_kafka_event_error(event.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ToStatus(error, what, rd_kafka_event_error_string(event.get()));
  }
  return event;
}

absl::StatusOr<NewTopicPtr> NewTopic(const TopicOptions& options) {
  std::array<char, 512> reason;
  NewTopicPtr topic(rd_kafka_NewTopic_new(options.name.c_str(), options.partitions, options.replication_factor,
                                          reason.data(), reason.size()));
  if (topic == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("topic refused: topic=", options.name, " cause=", reason.data()));
  }
  Settings settings = {{"cleanup.policy", options.compacted ? "compact" : "delete"}};
  if (options.retention) {
    settings.emplace_back("retention.ms", absl::StrCat(absl::ToInt64Milliseconds(*options.retention)));
  }
  settings.insert(settings.end(), options.config.begin(), options.config.end());
  for (const auto& [name, value] : settings) {
    const rd_kafka_resp_err_t error = rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return ToStatus(error, absl::StrCat("topic setting refused: topic=", options.name, " setting=", name));
    }
  }
  return topic;
}

// The partitions of a topic and how many of them have a leader.
struct Layout {
  int partitions = 0;
  int with_leader = 0;
};
absl::StatusOr<Layout> Ask(rd_kafka_t* handle, const std::string& topic, absl::Duration timeout) {
  const std::string what = absl::StrCat("topic not described: topic=", topic);
  std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>> one(
      rd_kafka_topic_new(handle, topic.c_str(), nullptr));
  if (one == nullptr) {
    return ToStatus(rd_kafka_last_error(), what);
  }
  const rd_kafka_metadata_t* answer = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(handle, /*all_topics=*/0, one.get(), &answer, Milliseconds(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ToStatus(error, what);
  }
  const std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>> metadata(answer);
  if (metadata->topic_cnt != 1 || metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ToStatus(metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, what);
  }
  Layout layout{.partitions = metadata->topics[0].partition_cnt};
  for (int i = 0; i < layout.partitions; ++i) {
    layout.with_leader += metadata->topics[0].partitions[i].leader >= 0 ? 1 : 0;
  }
  return layout;
}

absl::Status AwaitLeaders(rd_kafka_t* handle, const TopicOptions& options) {
  const absl::Time deadline = absl::Now() + kRequestTimeout;
  while (true) {
    const absl::StatusOr<Layout> layout = Ask(handle, options.name, kRequestTimeout);
    if (layout.ok() && layout->partitions != options.partitions) {
      return absl::InvalidArgumentError(absl::StrCat("topic exists with another partition count: topic=", options.name,
                                                     " partitions=", layout->partitions,
                                                     " wanted=", options.partitions));
    }
    if (layout.ok() && layout->with_leader == options.partitions) {
      return absl::OkStatus();
    }
    if (!layout.ok() && !absl::IsNotFound(layout.status()) && !absl::IsUnavailable(layout.status())) {
      return layout.status();
    }
    if (absl::Now() > deadline) {
      return absl::UnavailableError(absl::StrCat("topic has no leaders yet: topic=", options.name));
    }
    absl::SleepFor(kLeaderPause);
  }
}

}  // namespace

absl::StatusOr<int> PartitionCount(rd_kafka_t* handle, const std::string& topic, absl::Duration timeout) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Layout layout, Ask(handle, topic, timeout));
  return layout.partitions;
}

absl::StatusOr<int> AssignedPartitions(rd_kafka_t* handle, const std::string& group, const std::string& topic,
                                       absl::Duration timeout) {
  const std::string what = absl::StrCat("group not described: group=", group);
  TRIBUTARY_ASSIGN_OR_RETURN(const OptionsPtr options,
                             RequestOptions(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout));
  const QueuePtr queue(rd_kafka_queue_new(handle));
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(handle, &name, 1, options.get(), queue.get());
  TRIBUTARY_ASSIGN_OR_RETURN(const EventPtr event, Answer(queue, what, timeout));
  size_t count = 0;
  const rd_kafka_ConsumerGroupDescription_t** groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count != 1) {
    return absl::UnavailableError(absl::StrCat(what, " cause=no answer"));
  }
  if (const rd_kafka_error_t* error = rd_kafka_ConsumerGroupDescription_error(groups[0])) {
    return ToStatus(error, what);
  }
  if (rd_kafka_ConsumerGroupDescription_state(groups[0]) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE) {
    return absl::UnavailableError(absl::StrCat("group is dealing out partitions: group=", group));
  }
  int assigned = 0;
  for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(groups[0]); ++i) {
    const rd_kafka_topic_partition_list_t* list = rd_kafka_MemberAssignment_partitions(
        rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(groups[0], i)));
    for (int j = 0; list != nullptr && j < list->cnt; ++j) {
      assigned += list->elems[j].topic == topic ? 1 : 0;
    }
  }
  return assigned;
}

absl::Status CreateTopics(rd_kafka_t* handle, absl::Span<const TopicOptions> topics) {
  if (topics.empty()) {
    return absl::OkStatus();
  }
  std::vector<NewTopicPtr> wanted;
  std::vector<rd_kafka_NewTopic_t*> pointers;
  for (const TopicOptions& options : topics) {
    TRIBUTARY_ASSIGN_OR_RETURN(NewTopicPtr topic, NewTopic(options));
    pointers.push_back(topic.get());
    wanted.push_back(std::move(topic));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const OptionsPtr options, RequestOptions(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS));
  const QueuePtr queue(rd_kafka_queue_new(handle));
  rd_kafka_CreateTopics(handle, pointers.data(), pointers.size(), options.get(), queue.get());
  TRIBUTARY_ASSIGN_OR_RETURN(const EventPtr event, Answer(queue, "topics not created:"));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      const char* detail = rd_kafka_topic_result_error_string(results[i]);
      return ToStatus(error, absl::StrCat("topic not created: topic=", rd_kafka_topic_result_name(results[i])),
                      detail == nullptr ? "" : detail);
    }
  }
  for (const TopicOptions& topic : topics) {
    TRIBUTARY_RETURN_IF_ERROR(AwaitLeaders(handle, topic));
  }
  return absl::OkStatus();
}

absl::StatusOr<Settings> TopicConfig(rd_kafka_t* handle, const std::string& topic) {
  const std::string what = absl::StrCat("topic settings not read: topic=", topic);
  const ResourcePtr resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  TRIBUTARY_ASSIGN_OR_RETURN(const OptionsPtr options, RequestOptions(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS));
  const QueuePtr queue(rd_kafka_queue_new(handle));
  rd_kafka_ConfigResource_t* one = resource.get();
  rd_kafka_DescribeConfigs(handle, &one, 1, options.get(), queue.get());
  TRIBUTARY_ASSIGN_OR_RETURN(const EventPtr event, Answer(queue, what));
  size_t count = 0;
  const rd_kafka_ConfigResource_t** answers =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  if (count != 1) {
    return absl::UnavailableError(absl::StrCat(what, " cause=no answer"));
  }
  if (const rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(answers[0]); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* detail = rd_kafka_ConfigResource_error_string(answers[0]);
    return ToStatus(error, what, detail == nullptr ? "" : detail);
  }
  Settings settings;
  const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(answers[0], &count);
  for (size_t i = 0; i < count; ++i) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    settings.emplace_back(rd_kafka_ConfigEntry_name(entries[i]), value == nullptr ? "" : value);
  }
  return settings;
}

}  // namespace tributary::kafka
