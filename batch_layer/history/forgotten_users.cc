#include "batch_layer/history/forgotten_users.h"

#include <algorithm>

#include "common/event/user_digest.h"

namespace tributary::batch {
namespace {

constexpr size_t kMaxKnown = 1'000'000;     // Answers remembered; bounds the memory.

}  // namespace

ForgottenUsers::ForgottenUsers(const v1::HistoryManifest& manifest) {
  for (const v1::ForgottenUser& user : manifest.forgotten()) {
    const auto [known, added] = list_.try_emplace(user.user_digest(), user.until_unix_ms());
    known->second = std::max(known->second, user.until_unix_ms());
  }
}

int64_t ForgottenUsers::Until(const std::string& user_id) {
  if (list_.empty() || user_id.empty()) {
    return kNever;
  }
  if (const auto known = known_.find(user_id); known != known_.end()) {
    return known->second;
  }
  if (known_.size() >= kMaxKnown) {
    known_.clear();
  }
  const auto listed = list_.find(UserDigest(user_id));
  return known_[user_id] = listed == list_.end() ? kNever : listed->second;
}

void Anonymise(Event* event) {
  event->user_id.clear();
  event->session_id.clear();
  event->query.clear();
  event->event_id_hash = 0;
  event->anonymous = true;
  event->attributes.erase(std::remove_if(event->attributes.begin(), event->attributes.end(),
                                         [](const auto& attribute) { return attribute.first != "store"; }),
                          event->attributes.end());
}

}  // namespace tributary::batch
