#include "serving_layer/requests/fold_in_queue.h"

#include <utility>

namespace tributary::serving {

FoldInQueue::FoldInQueue(size_t most, MetricsRegistry& metrics)
    : most_(most),
      offered_(metrics.AddCounter("tributary_serving_fold_ins_beside_total",
                                  "Requests that left a dear fold-in to the threads beside them.")),
      dropped_(metrics.AddCounter("tributary_serving_fold_ins_dropped_total",
                                  "Of them, those whose user had to leave the queue before its turn.")) {}

void FoldInQueue::Offer(absl::string_view user_id, Generation generation) {
  offered_.Increment();
  if (!mutex_.TryLock()) {
    dropped_.Increment();
    return;
  }
  if (entries_.size() == most_) {
    entries_.pop_front();
    dropped_.Increment();
  }
  entries_.push_back({.user_id = std::string(user_id), .generation = generation});
  mutex_.Unlock();
  changed_.NotifyOne();
}

std::optional<FoldInQueue::Entry> FoldInQueue::Take() {
  MutexLock lock(mutex_);
  changed_.Await(mutex_, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return closed_ || !entries_.empty(); });
  if (closed_) {
    return std::nullopt;
  }
  Entry latest = std::move(entries_.back());
  entries_.pop_back();
  return latest;
}

void FoldInQueue::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

}  // namespace tributary::serving
