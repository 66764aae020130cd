#include "serving_layer/live_state/session_lists.h"

#include <xxhash.h>

#include <utility>

namespace tributary::serving {
namespace {

constexpr size_t kUsualListLength = 200;

uint64_t VersionOf(const SessionQuery& query, size_t n) {
  const int64_t rest[] = {query.session_time_unix_ms, static_cast<int64_t>(n)};
  return XXH64(query.items.data(), query.items.size() * sizeof(query.items[0]), XXH64(rest, sizeof(rest), 0));
}

}  // namespace

SessionLists::SessionLists(const Options& options)
    : max_age_ms_(absl::ToInt64Milliseconds(options.max_age)), memo_(options.memory_budget_bytes, kUsualListLength) {}

absl::Span<const ScoredItem> SessionLists::Next(const SessionNeighbours& neighbours, const SessionQuery& query,
                                                size_t n, SessionNeighbours::Scratch* scratch) const {
  if (query.live == nullptr) {
    return neighbours.Next(query, n, scratch);
  }
  const uint64_t live_version = query.live->version();
  const uint64_t version = VersionOf(query, n);
  if (const Entry* const kept = memo_.Find(query.user, version)) {
    const int64_t age_ms = query.now_unix_ms - kept->made_unix_ms;
    if (kept->live_version == live_version || (age_ms >= 0 && age_ms < max_age_ms_)) {
      return kept->list;
    }
  }
  const absl::Span<const ScoredItem> list = neighbours.Next(query, n, scratch);
  memo_.Keep({.user = query.user,
              .version = version,
              .live_version = live_version,
              .made_unix_ms = query.now_unix_ms,
              .list = {list.begin(), list.end()}});
  return list;
}

}  // namespace tributary::serving
