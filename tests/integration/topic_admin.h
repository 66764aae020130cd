#ifndef TRIBUTARY_TESTS_INTEGRATION_TOPIC_ADMIN_H_
#define TRIBUTARY_TESTS_INTEGRATION_TOPIC_ADMIN_H_

#include <string>

#include "common/event_log/event_log.h"

namespace tributary {

// What an operator may do to topics and our layers never do. Returns when the broker has done it; CHECKs that it does.
void AddPartitions(const std::string& brokers, const std::string& topic, int partitions_in_all);
void DeleteTopic(const std::string& brokers, const std::string& topic);
// As retention would.
void TruncateBefore(const std::string& brokers, const TopicPartition& partition, Offset offset);

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_INTEGRATION_TOPIC_ADMIN_H_
