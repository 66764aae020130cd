#ifndef TRIBUTARY_TESTS_COMMON_EVENT_LOG_EVENT_LOG_CONTRACT_H_
#define TRIBUTARY_TESTS_COMMON_EVENT_LOG_EVENT_LOG_CONTRACT_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"

// What every EventLog promises, as tests that run over the fake one and the real one alike: a test binary links
// event_log_contract_test.cc and its own MakeContractLog.
namespace tributary {

class ContractLog {
 public:
  virtual ~ContractLog() = default;
  virtual EventLog& log() = 0;
  // A name of a topic, group or producer that no other test uses.
  virtual std::string Name(absl::string_view name) = 0;
  // Retention: removes what lies before `offset`.
  virtual void TruncateBefore(const TopicPartition& partition, Offset offset) = 0;
  virtual void AddPartitions(const std::string& topic, int partitions_in_all) = 0;
  // The group takes the member, whose reader may be gone, for dead.
  virtual void ExpireMember(const std::string& group, const std::string& instance) = 0;
  // For one Poll; zero where waiting changes nothing.
  virtual absl::Duration poll_timeout() const = 0;
  virtual absl::Duration session_timeout() const = 0;
};

// Defined by each binary that links the contract: a log of which the test sees nothing but what it makes.
std::unique_ptr<ContractLog> MakeContractLog();

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_COMMON_EVENT_LOG_EVENT_LOG_CONTRACT_H_
