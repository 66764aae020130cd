#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_FORGOTTEN_USERS_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_FORGOTTEN_USERS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "common/event/event.h"
#include "tributary/v1/history.pb.h"

// How the history forgets a user.
//
// A FORGET with event time T hides every event of its user with an event time up to T, itself too, wherever it lies and
// whenever it comes (common/user_state). What it hides goes on to count in the totals, the cut counts, the number of events
// and their span, and names its item in the item table: counts without a person stay. It counts in nothing else, from the
// FORGET on: not in profiles, lists, popularity or sessions, and a user of whom nothing else is left is none of the users.
// So it makes no difference to a snapshot whether an event is hidden or the person has been taken out of it, and the digest
// rests on what was read alone, not on when files were rewritten.
//
// Taken out means: an event without user id (no accepted event is without), session id, event id, query and attributes but
// `store`. Type, times, item, page, category, experiment bucket and amounts stay, since the counts rest on them: an
// application that puts a person's name into one of these has to know that. (Builds that did not count by bucket took the
// bucket out, too.)
//
// The person is left as a digest with T in the manifest's list `forgotten`, which is written before any file is. From then
// on imports of older events take the person out as they come in. Acceptance of later events must stay a function of the log
// alone, so an event of a topic stays as it is while its id may still refuse a repeat: until its partition has gone on for
// 24 h of record time, or has been silent for a week: nothing came since the history's end, which is then the end of the log,
// too. (A record that waits in an open transaction, or for the next run, follows as soon as its own time says.)
namespace tributary::batch {

inline constexpr int64_t kSilentPartitionMs = 7LL * 24 * 3600 * 1000;

// The users that a manifest's list knows. Not thread-safe: it remembers answers.
class ForgottenUsers {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

  explicit ForgottenUsers(const v1::HistoryManifest& manifest);

  // By digest: until when.
  const std::map<std::string, int64_t>& list() const { return list_; }
  // Event time until which a user is forgotten; kNever for others, and for no user.
  int64_t Until(const std::string& user_id);
  bool Hides(const Event& event) { return event.event_time_unix_ms <= Until(event.user_id); }

 private:
  std::map<std::string, int64_t> list_;
  absl::flat_hash_map<std::string, int64_t> known_;
};

// Takes the person out of an event.
void Anonymise(Event* event);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_FORGOTTEN_USERS_H_
