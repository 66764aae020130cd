#include "common/kafka/unread_check.h"

#include "absl/time/time.h"
#include "common/kafka/client.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::kafka {
namespace {

// Of each question. A look must not hold up for long who stops.
constexpr absl::Duration kTimeout = absl::Seconds(1);

}  // namespace

UnreadCheck::~UnreadCheck() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  stopping_.NotifyAll();
  thread_.join();
}

void UnreadCheck::Run() {
  while (!AwaitStop()) {
    if (const absl::Status status = Look(); !status.ok() && !absl::IsUnavailable(status)) {
      LOG_EVERY_T(WARNING, 600) << "whether all partitions are read is not known: " << status;
    }
  }
}

bool UnreadCheck::AwaitStop() {
  MutexLock lock(mutex_);
  return stopping_.AwaitFor(mutex_, options_.unread_check_interval,
                            [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_; });
}

absl::Status UnreadCheck::Look() {
  TRIBUTARY_ASSIGN_OR_RETURN(const int partitions, PartitionCount(handle_, options_.topic, kTimeout));
  TRIBUTARY_ASSIGN_OR_RETURN(const int assigned, AssignedPartitions(handle_, options_.group, options_.topic, kTimeout));
  if (assigned < partitions) {
    LOG(INFO) << "partitions that nobody reads, joining anew: topic=" << options_.topic << " partitions=" << partitions
              << " assigned=" << assigned;
    found_.store(true, std::memory_order_relaxed);
  }
  return absl::OkStatus();
}

}  // namespace tributary::kafka
