#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/event_log/event_log.h"
#include "common/merge/catalogue.h"
#include "common/merge/rule_set.h"
#include "common/sync/mutex.h"
#include "common/sync/rcu.h"
#include "common/sync/rcu_map.h"
#include "serving_layer/context/loaded_snapshot.h"
#include "serving_layer/context/newest_items.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary::serving {

// What one request rests on besides its user: one snapshot, and the catalogue and rules numbered to match. Immutable.
struct ServingContext {
  std::shared_ptr<const LoadedSnapshot> snapshot;      // Null: none yet.
  std::shared_ptr<const Catalogue> catalogue;          // The snapshot's items under the changes of `items`. Never null.
  std::shared_ptr<const RuleSet> rules;                // Never null.
  std::shared_ptr<const std::vector<v1::Rule>> rule_messages;   // By rule id. Never null.
  // By the start of their availability, the latest first, then id; at most kNewestItems, none that always was. Never null.
  std::shared_ptr<const std::vector<ItemNumber>> newest;

  Generation generation() const { return snapshot ? snapshot->generation() : Generation{0}; }
  const SessionNeighbours& sessions() const { return snapshot ? snapshot->sessions() : LoadedSnapshot::NoSessions(); }
  // W; without a snapshot 0.
  Offset Watermark(PartitionId partition) const { return snapshot ? snapshot->Watermark(partition) : Offset{0}; }
};

// All that is served from: the current snapshot, and at most one held beside it.
struct ServedContexts {
  ServingContext current;
  std::optional<ServingContext> other;   // Of a snapshot; beside a current one only.
  // Users with UserPoint(user, generation of `other`) below this are served from `other` (0 to 1): the canary's.
  double other_share = 0;
  uint64_t version = 0;                  // Of each one that is published, another.
};

inline constexpr size_t kNewestItems = 10'000;

// What the company says of a user.
struct UserInfo {
  std::string segment;
  v1::Consent consent = v1::CONSENT_UNSPECIFIED;
};

// Keeps the current ServingContext: items, users and rules as their topics tell them, over the snapshot that is being
// served.
//
// Threads: Apply* and Publish from the follower, Activate and Hold from the snapshot manager, each one thread; the rest from
//          any thread with an EpochGuard open, without ever waiting. Activate and Hold do their long work outside of the lock
//          that the two writers share.
class ContextPublisher {
 public:
  ContextPublisher();

  // Records of `items`, `users`, `rules`. InvalidArgument: refused, nothing changed. Seen after the next Publish.
  absl::Status ApplyItem(const LogRecord& record);
  absl::Status ApplyUser(const LogRecord& record);
  absl::Status ApplyRule(const LogRecord& record);
  // Makes what was applied visible as one new context.
  void Publish();
  // Serves from `snapshot`; returns when no request reads the one before, which is then closed unless the caller holds it.
  // One that is held beside the current one stays so, unless it is `snapshot`.
  void Activate(std::shared_ptr<const LoadedSnapshot> snapshot);
  // Holds `snapshot` beside the current one, in the place of the one that is held, and serves that share of the users from it;
  // null: holds none. Returns as Activate does. There must be a current one.
  void Hold(std::shared_ptr<const LoadedSnapshot> snapshot, double share);

  const ServingContext& context() const { return contexts_.Load()->current; }
  const ServedContexts& contexts() const { return *contexts_.Load(); }
  // Null: no record of the user.
  const UserInfo* FindUser(absl::string_view user_id) const { return users_.Find(user_id); }
  // The item as the topic or else the snapshot has it. NotFound: neither knows it, or it was deleted.
  absl::StatusOr<v1::Item> FindItem(absl::string_view item_id) const;

 private:
  // An item of the topic; null message: deleted.
  using ItemChange = std::shared_ptr<const v1::Item>;

  // A snapshot's own part of a context.
  struct Line {
    std::shared_ptr<const LoadedSnapshot> snapshot;
    std::shared_ptr<const Catalogue> catalogue;
    std::shared_ptr<const RuleSet> rules;
    NewestItems newest_items{kNewestItems};
    std::shared_ptr<const std::vector<ItemNumber>> newest;   // Of newest_items.
  };

  // The catalogue of `snapshot` with what the topic has by now, in two steps: the long one, then what came meanwhile.
  CatalogueBuilder BeginLine(const LoadedSnapshot& snapshot);
  Line FinishLine(std::shared_ptr<const LoadedSnapshot> snapshot, CatalogueBuilder builder)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What changed since the last Publish.
  void ApplyChanges(Line* line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ServingContext ContextOf(Line* line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Put(absl::string_view item_id, const ItemChange& change, CatalogueBuilder& builder);
  static std::shared_ptr<const std::vector<ItemNumber>> ListOf(const NewestItems& newest);
  void PublishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;                                    // Between the writers.
  RcuMap<ItemChange> items_;                       // Written under mutex_.
  RcuMap<UserInfo> users_;                         // Written by the follower alone.
  std::map<std::string, v1::Rule> rules_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> changed_items_ ABSL_GUARDED_BY(mutex_);         // Since the current context was made.
  bool rules_changed_ ABSL_GUARDED_BY(mutex_) = false;
  // While Activate builds: every item that changed since it copied them.
  std::optional<std::vector<std::string>> changed_while_activating_ ABSL_GUARDED_BY(mutex_);
  Line current_ ABSL_GUARDED_BY(mutex_);
  std::optional<Line> other_ ABSL_GUARDED_BY(mutex_);
  double other_share_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const std::vector<v1::Rule>> rule_messages_ ABSL_GUARDED_BY(mutex_);
  Rcu<ServedContexts> contexts_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_
