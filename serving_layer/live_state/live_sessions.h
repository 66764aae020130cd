#ifndef TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_SESSIONS_H_
#define TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_SESSIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/merge/live_facts.h"
#include "common/merge/merge.h"
#include "common/sessions/live_session_index.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_views.h"
#include "serving_layer/live_state/session_lists.h"

namespace tributary::serving {

// A user's key among live sessions, never 0.
uint64_t LiveSessionUser(absl::string_view user_id);

// The live sessions that a user's facts tell: those with an event at or above W, and at least two different items that
// the catalogue knows. Of one that began below W, what lies there counts too; where `stored` has that part as a
// session, `stored` of the result names it. Facts that FORGET hides count for nothing. None when W lies below the
// floor. Sets `unknown_items` when the catalogue does not know an item; leaves it otherwise.
std::vector<LiveSessionIndex::Session> LiveSessionsOf(absl::string_view user_id,
                                                      absl::Span<const LivePartition> partitions,
                                                      const Catalogue& catalogue, const SessionIndex& stored,
                                                      bool* unknown_items);

// The live session index beside one of the snapshots that are being served: the current one, or the other one. Items are numbered as in its catalogue, so a new
// snapshot has a new index, made from all live users.
//
// Threads: Begin, Set and Reclaim from one thread, the follower; Of from any with an EpochGuard open.
class LiveSessions {
 public:
  enum class Beside { kCurrent, kOther };
  struct Options {
    LiveSessionIndex::Options index;
    SessionLists::Options lists;
  };
  LiveSessions(const Options& options, Beside beside) : options_(options), beside_(beside) {}

  struct View {
    const LiveSessionIndex* index = nullptr;
    const SessionSearch* search = nullptr;   // Over the index.
  };
  // What is beside the snapshot of `context`; null: it is not made yet, or is beside another one. Valid while the guard is
  // open.
  View Of(const ServingContext& context) const {
    const State* const state = state_.Load();
    return state != nullptr && state->snapshot == context.snapshot ? View{&state->index, &state->lists} : View{};
  }

  using ForEachUser =
      std::function<void(const std::function<void(absl::string_view user_id, const LiveUserViews& views)>& visit)>;
  // Keeps the index beside the current context: when it is another snapshot's, or the catalogue has since come to know
  // items that were left out, a new one is made of all users. Without an EpochGuard open.
  void Follow(const ContextPublisher& context, const ForEachUser& for_each_user);
  // A user's views, as of now. After Follow.
  void Set(absl::string_view user_id, const LiveUserViews& views, const ContextPublisher& context);
  void Reclaim();

  // For the follower.
  size_t size() const { return writable_ == nullptr ? 0 : writable_->index.size(); }
  int64_t bytes() const { return writable_ == nullptr ? 0 : writable_->index.bytes(); }
  int64_t list_bytes() const { return writable_ == nullptr ? 0 : writable_->lists.bytes(); }

 private:
  struct State {
    State(const Options& options, std::shared_ptr<const LoadedSnapshot> of);
    const std::shared_ptr<const LoadedSnapshot> snapshot;  // Null: none. Holds what the others borrow.
    const SessionIndex stored;
    LiveSessionIndex index;
    const SessionLists lists;
  };

  // Null: there is none. With an EpochGuard open.
  const ServingContext* ContextOf(const ContextPublisher& context) const;
  void Set(absl::string_view user_id, absl::Span<const LivePartition> partitions, const Catalogue& catalogue,
           const ContextPublisher& context, State* state);

  const Options options_;
  const Beside beside_;
  Rcu<State> state_;
  State* writable_ = nullptr;    // What state_ shows.
  uint32_t catalogue_size_ = 0;  // When it was made.
  bool unknown_items_ = false;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_LIVE_STATE_LIVE_SESSIONS_H_
