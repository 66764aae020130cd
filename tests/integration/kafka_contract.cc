#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/common/event_log/event_log_contract.h"
#include "tests/integration/kafka_fixture.h"
#include "tests/integration/topic_admin.h"

namespace tributary {
namespace {

class KafkaContractLog final : public ContractLog {
 public:
  EventLog& log() override { return kafka_.log(); }
  std::string Name(absl::string_view name) override { return absl::StrCat(kafka_.config().topic_prefix(), name); }

  void TruncateBefore(const TopicPartition& partition, Offset offset) override {
    tributary::TruncateBefore(kafka_.config().brokers(), partition, offset);
  }
  void AddPartitions(const std::string& topic, int partitions_in_all) override {
    tributary::AddPartitions(kafka_.config().brokers(), topic, partitions_in_all);
  }

  // Its reader is gone, so the broker finds out by itself within the session timeout.
  void ExpireMember(const std::string&, const std::string&) override {}

  absl::Duration poll_timeout() const override { return absl::Milliseconds(50); }
  absl::Duration session_timeout() const override { return absl::Seconds(2); }

 private:
  KafkaFixture kafka_;
};

}  // namespace

std::unique_ptr<ContractLog> MakeContractLog() { return std::make_unique<KafkaContractLog>(); }

}  // namespace tributary
