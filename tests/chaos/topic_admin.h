#ifndef TRIBUTARY_TESTS_CHAOS_TOPIC_ADMIN_H_
#define TRIBUTARY_TESTS_CHAOS_TOPIC_ADMIN_H_

#include <string>

namespace tributary::chaos {

// What an operator may do to topics and our layers never do. Returns when the broker has done it; CHECKs that it does.
void AddPartitions(const std::string& brokers, const std::string& topic, int partitions_in_all);
void DeleteTopic(const std::string& brokers, const std::string& topic);

}  // namespace tributary::chaos

#endif  // TRIBUTARY_TESTS_CHAOS_TOPIC_ADMIN_H_
