#ifndef TRIBUTARY_SERVING_LAYER_API_ADMISSION_H_
#define TRIBUTARY_SERVING_LAYER_API_ADMISSION_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tributary::serving {

// Whether a request is worked on: not when its deadline has passed, nor when the server is so far behind that those before
// it wait longer than a limit. How far it is behind, a probe says that goes the way of every request, again and again: the
// time that it took, or that it has been under way if that is more.
//
// Cost:    two relaxed loads for a request.
// Threads: Admit and queue_time from any; ProbeSent and ProbeAnswered by turns.
class Admission {
 public:
  explicit Admission(absl::Duration max_queue) : max_queue_ns_(absl::ToInt64Nanoseconds(max_queue)) {}

  // `now_ns`: of a steady clock. ResourceExhausted: the server is behind.
  absl::Status Admit(int64_t now_ns) const {
    return queue_time_ns(now_ns) <= max_queue_ns_ ? absl::OkStatus() : Refusal(now_ns);
  }
  int64_t queue_time_ns(int64_t now_ns) const {
    const int64_t sent = sent_ns_.load(std::memory_order_relaxed);
    const int64_t took = took_ns_.load(std::memory_order_relaxed);
    return sent != 0 && now_ns - sent > took ? now_ns - sent : took;
  }

  void ProbeSent(int64_t now_ns) { sent_ns_.store(now_ns, std::memory_order_relaxed); }
  void ProbeAnswered(int64_t now_ns) {
    took_ns_.store(now_ns - sent_ns_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
  }

 private:
  absl::Status Refusal(int64_t now_ns) const;

  const int64_t max_queue_ns_;
  std::atomic<int64_t> sent_ns_{0};    // 0: none is under way.
  std::atomic<int64_t> took_ns_{0};    // The last one.
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_ADMISSION_H_
