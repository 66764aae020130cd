#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_FOLD_IN_QUEUE_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_FOLD_IN_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "common/metrics/metrics.h"
#include "common/sync/mutex.h"

namespace tributary::serving {

// Users whose fold-in was too dear for the request that asked for it. The latest comes first, since it is the likeliest to be
// asked for again; beyond `most` the oldest leaves: whoever asks for its list again offers it again.
// Threads: call from any thread. Offer never waits: while another thread has the lock, nothing is queued.
class FoldInQueue {
 public:
  struct Entry {
    std::string user_id;
    Generation generation;   // Of the snapshot that the list is to be of.
  };

  FoldInQueue(size_t most, MetricsRegistry& metrics);

  void Offer(absl::string_view user_id, Generation generation);
  // Waits for an entry. Nothing: closed.
  std::optional<Entry> Take();
  void Close();

 private:
  const size_t most_;
  Counter& offered_;
  Counter& dropped_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);   // The latest at the end.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_FOLD_IN_QUEUE_H_
