#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_WAITS_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_WAITS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "common/sync/mutex.h"
#include "tributary/v1/event.pb.h"

namespace tributary::serving {

// Requests that wait until the live state covers a position, without a thread: each leaves a function that wakes it.
// Who waits also sets itself a time limit, and calls Remove when that comes first.
//
// Limits:  10,000 waiting requests.
// Threads: thread-safe; `wake` runs once, in Wake, with no lock held, and must be quick.
class FreshnessWaits {
 public:
  // `covers`: whether an answer given now would rest on a position.
  explicit FreshnessWaits(std::function<bool(const v1::EventPosition&)> covers) : covers_(std::move(covers)) {}

  // A number for Remove; none when too many wait. The position may have been covered just before: check after Add.
  std::optional<uint64_t> Add(const v1::EventPosition& position, std::function<void()> wake);
  // The request waits no longer: `wake` will not be called, unless it is being called now.
  void Remove(uint64_t number);
  size_t size();
  // Wakes all whose position is covered: after progress.
  void Wake();

 private:
  struct Wait {
    v1::EventPosition position;
    std::function<void()> wake;
  };

  const std::function<bool(const v1::EventPosition&)> covers_;
  Mutex mutex_;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Wait> waits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_FRESHNESS_WAITS_H_
