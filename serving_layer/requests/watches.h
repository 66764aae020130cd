#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_WATCHES_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_WATCHES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/requests/recommender.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// One that watches a user's list. Both functions are called by the thread of Watches alone.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // What was sent before is on its way: another list may be sent.
  virtual bool ready() = 0;
  virtual void Send(const v1::RecommendResponse& list) = 0;
  // Nothing follows.
  virtual void End(const absl::Status& status) = 0;
};

// Sends each watcher its list, and again when it has changed: a round looks whether the user's live views, the snapshot, the
// catalogue or the rules are others than when the list was last made, or that list waited for a fold-in, makes it anew, and
// sends it if items, reasons' sources or flags differ. Ages and the fading of boosts alone send nothing. Changes between two rounds are one, and a watcher that
// is not ready gets the list as it is when it becomes so: nothing is queued.
//
// Limits:  `max_watchers`.
// Threads: RunOnce from one thread; the rest from any. Add and Remove never wait for a list to be made.
class Watches {
 public:
  // Borrows everything.
  Watches(size_t max_watchers, const Recommender& recommender, const LiveState& live, const ContextPublisher& context)
      : max_watchers_(max_watchers), recommender_(recommender), live_(live), context_(context) {}

  // Of a checked request. ResourceExhausted: too many watch; Unavailable: closed.
  absl::Status Add(v1::RecommendRequest request, std::shared_ptr<Watcher> watcher);
  void Remove(const Watcher* watcher);
  size_t size();
  // Ends all with Unavailable, in the next round, and takes no more.
  void Close();
  // Live views may have changed, or a fold-in is there. Cheap.
  void Wake() { woken_.store(true, std::memory_order_release); }

  void RunOnce();

 private:
  struct Watch {
    v1::RecommendRequest request;
    std::shared_ptr<Watcher> watcher;
    bool due = true;                // A list is to be made.
    uint64_t views = 0;             // Of the list last made.
    bool pending = false;           // It waits for a fold-in.
    std::string sent;               // What is compared of the list last sent.
    std::atomic<bool> removed{false};
  };

  // Changes whenever one of the user's live views or the user's record does. Under an EpochGuard.
  uint64_t ViewsOf(const std::string& user_id) const;
  void Make(Watch& watch);

  const size_t max_watchers_;
  const Recommender& recommender_;
  const LiveState& live_;
  const ContextPublisher& context_;
  std::atomic<bool> woken_{false};
  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Watch>> watches_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_version_ = 0;       // Of the contexts; RunOnce's thread alone.
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_WATCHES_H_
