#ifndef TRIBUTARY_COMMON_KAFKA_UNREAD_CHECK_H_
#define TRIBUTARY_COMMON_KAFKA_UNREAD_CHECK_H_

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/event_log/event_log.h"
#include "common/sync/mutex.h"

namespace tributary::kafka {

// Looks now and then, on a thread of its own, whether a consumer group reads all partitions of its topic.
//
// A partition that is added to the topic is dealt out when the group's leader joins anew, which librdkafka does when it
// sees the topic change. A static member that comes back as the leader sees no change: it knows the partition from the
// beginning, is given what it had without a new generation, and does not learn that it leads (KIP-814, not in librdkafka
// 2.0). So each member looks, and where nobody reads a partition joins anew.
class UnreadCheck {
 public:
  // Both are borrowed and must outlive this.
  UnreadCheck(rd_kafka_t* handle, const GroupReaderOptions& options)
      : handle_(handle), options_(options), thread_([this] { Run(); }) {}
  // Waits for a look that is under way, some seconds at most.
  ~UnreadCheck();
  UnreadCheck(const UnreadCheck&) = delete;
  UnreadCheck& operator=(const UnreadCheck&) = delete;

  // True once for each look that found a partition which nobody reads. From any thread.
  bool TakeFound() { return found_.exchange(false, std::memory_order_relaxed); }

 private:
  void Run();
  bool AwaitStop();  // For one interval.
  absl::Status Look();

  rd_kafka_t* const handle_;
  const GroupReaderOptions& options_;
  std::atomic<bool> found_ = false;
  Mutex mutex_;
  CondVar stopping_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace tributary::kafka

#endif  // TRIBUTARY_COMMON_KAFKA_UNREAD_CHECK_H_
