#include "common/sessions/session_index.h"

#include <algorithm>

namespace tributary {
namespace {

// Each item once, where it was seen last; at most `most` of them, the latest.
std::vector<uint32_t> Latest(const std::vector<uint32_t>& items, size_t most) {
  std::vector<uint32_t> latest;
  for (size_t i = items.size(); i-- > 0 && latest.size() < most;) {
    if (std::find(latest.begin(), latest.end(), items[i]) == latest.end()) {
      latest.push_back(items[i]);
    }
  }
  std::reverse(latest.begin(), latest.end());
  return latest;
}

}  // namespace

SessionIndexArrays SessionIndexArrays::Build(std::vector<PastSession> sessions, uint32_t items,
                                             size_t sessions_per_item) {
  std::stable_sort(sessions.begin(), sessions.end(),
                   [](const PastSession& a, const PastSession& b) { return a.time_unix_ms < b.time_unix_ms; });
  SessionIndexArrays arrays;
  arrays.item_counts_.resize(items);
  for (const PastSession& session : sessions) {
    const std::vector<uint32_t> latest = Latest(session.items, kLongestSession);
    if (latest.size() < 2) {
      continue;
    }
    for (const uint32_t item : latest) {
      arrays.session_items_.push_back(item);
      ++arrays.item_counts_[item];
    }
    arrays.session_offsets_.push_back(arrays.session_items_.size());
    arrays.session_times_unix_ms_.push_back(session.time_unix_ms);
  }
  arrays.item_offsets_ = {0};
  for (const uint32_t count : arrays.item_counts_) {
    arrays.item_offsets_.push_back(arrays.item_offsets_.back() + std::min<size_t>(count, sessions_per_item));
  }
  arrays.item_sessions_.resize(arrays.item_offsets_.back());
  std::vector<uint64_t> next(arrays.item_offsets_.begin(), arrays.item_offsets_.end() - 1);
  for (size_t session = arrays.session_times_unix_ms_.size(); session-- > 0;) {
    for (uint64_t i = arrays.session_offsets_[session]; i < arrays.session_offsets_[session + 1]; ++i) {
      const uint32_t item = arrays.session_items_[i];
      if (next[item] < arrays.item_offsets_[item + 1]) {
        arrays.item_sessions_[next[item]++] = static_cast<uint32_t>(session);
      }
    }
  }
  return arrays;
}

SessionIndex SessionIndexArrays::index() const {
  return {session_offsets_, session_times_unix_ms_, session_items_, item_offsets_, item_sessions_, item_counts_};
}

}  // namespace tributary
