#include "batch_layer/pipeline/past_sessions.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/event/session.h"

namespace tributary::batch {

std::vector<PastSession> SessionsOf(absl::Span<const DenseEvent> events, const KindWeights& weights, int64_t from_unix_ms) {
  std::vector<const DenseEvent*> order;
  for (const DenseEvent& event : events) {
    if (event.item != kNoItem && weights[event.kind] > 0 && event.event_time_unix_ms >= from_unix_ms) {
      order.push_back(&event);
    }
  }
  std::sort(order.begin(), order.end(), [](const DenseEvent* a, const DenseEvent* b) { return a->key() < b->key(); });
  std::vector<SessionEvent> session_events;
  session_events.reserve(order.size());
  for (const DenseEvent* event : order) {
    // Sessionize wants ids; the hashes' bytes are as good.
    const char* const id = reinterpret_cast<const char*>(&event->session);
    session_events.push_back(
        {event->event_time_unix_ms,
         event->session == kNoSession ? absl::string_view() : absl::string_view(id, sizeof(event->session))});
  }
  std::vector<PastSession> sessions;
  const std::vector<int32_t> numbers = Sessionize(session_events);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto number = static_cast<size_t>(numbers[i]);
    sessions.resize(std::max(sessions.size(), number + 1));
    sessions[number].items.push_back(order[i]->item);
    sessions[number].time_unix_ms = order[i]->event_time_unix_ms;
  }
  // They say nothing of neighbours.
  sessions.erase(std::remove_if(sessions.begin(), sessions.end(),
                                [](const PastSession& session) { return session.items.size() < 2; }),
                 sessions.end());
  return sessions;
}

void KeepNewest(size_t most, std::vector<PastSession>* sessions) {
  if (sessions->size() <= most) {
    return;
  }
  std::vector<std::pair<int64_t, size_t>> order;   // Time, place.
  order.reserve(sessions->size());
  for (size_t i = 0; i < sessions->size(); ++i) {
    order.emplace_back((*sessions)[i].time_unix_ms, i);
  }
  const auto first = order.end() - static_cast<std::ptrdiff_t>(most);
  std::nth_element(order.begin(), first, order.end());
  std::vector<bool> stays(sessions->size());
  for (auto kept = first; kept != order.end(); ++kept) {
    stays[kept->second] = true;
  }
  size_t next = 0;
  for (size_t i = 0; i < sessions->size(); ++i) {
    if (stays[i]) {
      std::swap((*sessions)[next++], (*sessions)[i]);
    }
  }
  sessions->resize(most);
}

}  // namespace tributary::batch
