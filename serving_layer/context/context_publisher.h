#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_

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

inline constexpr size_t kNewestItems = 10'000;

// What the company says of a user.
struct UserInfo {
  std::string segment;
  v1::Consent consent = v1::CONSENT_UNSPECIFIED;
};

// Keeps the current ServingContext: items, users and rules as their topics tell them, over the snapshot that is being
// served.
//
// Threads: Apply* and Publish from the follower, Activate from the snapshot manager, each one thread; the rest from any
//          thread with an EpochGuard open, without ever waiting. Activate does its long work outside of the lock that the
//          two writers share.
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
  void Activate(std::shared_ptr<const LoadedSnapshot> snapshot);

  const ServingContext& context() const { return *context_.Load(); }
  // Null: no record of the user.
  const UserInfo* FindUser(absl::string_view user_id) const { return users_.Find(user_id); }
  // The item as the topic or else the snapshot has it. NotFound: neither knows it, or it was deleted.
  absl::StatusOr<v1::Item> FindItem(absl::string_view item_id) const;

 private:
  // An item of the topic; null message: deleted.
  using ItemChange = std::shared_ptr<const v1::Item>;

  static void Put(absl::string_view item_id, const ItemChange& change, CatalogueBuilder& builder);
  // Linear in the catalogue.
  static std::shared_ptr<const std::vector<ItemNumber>> NewestOf(const Catalogue& catalogue);
  void PublishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;                                    // Between the writers.
  RcuMap<ItemChange> items_;                       // Written under mutex_.
  RcuMap<UserInfo> users_;                         // Written by the follower alone.
  std::map<std::string, v1::Rule> rules_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> changed_items_ ABSL_GUARDED_BY(mutex_);         // Since the current context was made.
  bool rules_changed_ ABSL_GUARDED_BY(mutex_) = false;
  // While Activate builds: every item that changed since it copied them.
  std::optional<std::vector<std::string>> changed_while_activating_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const LoadedSnapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Catalogue> catalogue_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const RuleSet> rule_set_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const std::vector<v1::Rule>> rule_messages_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const std::vector<ItemNumber>> newest_ ABSL_GUARDED_BY(mutex_);
  Rcu<ServingContext> context_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_CONTEXT_PUBLISHER_H_
