#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/common/event_log/event_log_contract.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"

namespace tributary {
namespace {

class FakeContractLog final : public ContractLog {
 public:
  EventLog& log() override { return log_; }
  std::string Name(absl::string_view name) override { return std::string(name); }
  void TruncateBefore(const TopicPartition& partition, Offset offset) override {
    log_.TruncateBefore(partition, offset);
  }
  void AddPartitions(const std::string& topic, int partitions_in_all) override {
    log_.AddPartitions(topic, partitions_in_all);
  }
  void ExpireMember(const std::string& group, const std::string& instance) override {
    log_.ExpireMember(group, instance);
  }
  absl::Duration poll_timeout() const override { return absl::ZeroDuration(); }
  absl::Duration session_timeout() const override { return absl::Seconds(1); }

 private:
  FakeClock clock_;
  FakeEventLog log_{clock_};
};

}  // namespace

std::unique_ptr<ContractLog> MakeContractLog() { return std::make_unique<FakeContractLog>(); }

}  // namespace tributary
