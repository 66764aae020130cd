#include "serving_layer/live_state/live_sessions.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "common/event/session.h"
#include "common/user_state/user_history.h"

namespace tributary::serving {
namespace {

using Session = LiveSessionIndex::Session;

uint64_t NotZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

uint64_t SessionId(const Fact& first) {
  return first.session_id.empty() ? XXH64(&first.event_time_unix_ms, sizeof(first.event_time_unix_ms), 1)
                                  : XXH64(first.session_id.data(), first.session_id.size(), 0);
}

// Each item once, where it was seen last; the latest of them.
void Append(absl::Span<const LiveFact* const> facts, std::vector<uint32_t>* items, std::vector<int64_t>* times) {
  for (size_t i = facts.size(); i-- > 0 && items->size() < SessionIndexArrays::kLongestSession;) {
    const uint32_t item = Value(*facts[i]->item);
    if (std::find(items->begin(), items->end(), item) == items->end()) {
      items->push_back(item);
      times->push_back(facts[i]->fact->event_time_unix_ms);
    }
  }
  std::reverse(items->begin(), items->end());
  std::reverse(times->begin(), times->end());
}

// The session of the index that ended when these did, with the same items as far as both are known.
uint32_t FindStored(const SessionIndex& stored, absl::Span<const LiveFact* const> below) {
  std::vector<uint32_t> items;
  std::vector<int64_t> times;
  Append(below, &items, &times);
  if (items.size() < 2) {
    return LiveSessionIndex::kNotStored;
  }
  const absl::Span<const int64_t> all = stored.session_times_unix_ms;
  auto [begin, end] = std::equal_range(all.begin(), all.end(), times.back());
  for (; begin != end; ++begin) {
    const auto session = static_cast<uint32_t>(begin - all.begin());
    const absl::Span<const uint32_t> known = stored.ItemsOf(session);
    const size_t both = std::min(known.size(), items.size());
    if (std::equal(known.end() - static_cast<std::ptrdiff_t>(both), known.end(),
                   items.end() - static_cast<std::ptrdiff_t>(both))) {
      return session;
    }
  }
  return LiveSessionIndex::kNotStored;
}

}  // namespace

uint64_t LiveSessionUser(absl::string_view user_id) { return NotZero(XXH64(user_id.data(), user_id.size(), 0)); }

std::vector<Session> LiveSessionsOf(absl::string_view user_id, absl::Span<const LivePartition> partitions,
                                    const Catalogue& catalogue, const SessionIndex& stored, bool* unknown_items) {
  // Most users have nothing at or above W for long after a run.
  const bool any = std::any_of(partitions.begin(), partitions.end(), [](const LivePartition& partition) {
    return !partition.facts.empty() && partition.facts.back().offset >= partition.watermark;
  });
  if (!any) {
    return {};
  }
  UserHistory history;
  std::vector<LiveFact> facts;
  if (!ReadLiveFacts(partitions, catalogue, &history, &facts).ok()) {
    return {};
  }
  std::vector<SessionEvent> events;
  std::vector<const LiveFact*> order;
  for (const LiveFact& live : facts) {
    if (!IsSessionKind(live.fact->kind)) {
      continue;
    }
    if (!live.item) {
      *unknown_items = true;
      continue;
    }
    events.push_back({live.fact->event_time_unix_ms, live.fact->session_id});
    order.push_back(&live);
  }
  const std::vector<int32_t> numbers = Sessionize(events);
  std::vector<std::vector<const LiveFact*>> by_session;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto number = static_cast<size_t>(numbers[i]);
    by_session.resize(std::max(by_session.size(), number + 1));
    by_session[number].push_back(order[i]);
  }
  std::vector<Session> sessions;
  for (const std::vector<const LiveFact*>& of_session : by_session) {
    std::vector<const LiveFact*> below;
    std::copy_if(of_session.begin(), of_session.end(), std::back_inserter(below),
                 [](const LiveFact* live) { return !live->above_watermark; });
    if (below.size() == of_session.size()) {
      continue;
    }
    Session session;
    Append(of_session, &session.items, &session.item_times);
    if (session.items.size() < 2) {
      continue;
    }
    session.user = LiveSessionUser(user_id);
    session.id = SessionId(*of_session.front()->fact);
    session.time_unix_ms = session.item_times.back();
    session.stored = below.empty() ? LiveSessionIndex::kNotStored : FindStored(stored, below);
    sessions.push_back(std::move(session));
  }
  return sessions;
}

LiveSessions::State::State(const Options& options, std::shared_ptr<const LoadedSnapshot> of)
    : snapshot(std::move(of)),
      stored((snapshot != nullptr ? snapshot->sessions() : LoadedSnapshot::NoSessions()).index()),
      index(options.index, stored),
      lists(options.lists) {}

const ServingContext* LiveSessions::ContextOf(const ContextPublisher& context) const {
  const ServedContexts& contexts = context.contexts();
  return beside_ == Beside::kCurrent ? &contexts.current : contexts.other ? &*contexts.other : nullptr;
}

void LiveSessions::Follow(const ContextPublisher& context, const ForEachUser& for_each_user) {
  ServingContext now;
  bool any = true;
  {
    EpochGuard guard;
    const ServingContext* const found = ContextOf(context);
    any = found != nullptr;
    static const ServingContext* const none = new ServingContext;
    const ServingContext& current = any ? *found : *none;
    if (!any && writable_ == nullptr) {
      return;
    }
    if (any && writable_ != nullptr && writable_->snapshot == current.snapshot &&
        !(unknown_items_ && current.catalogue->size() > catalogue_size_)) {
      return;
    }
    now = current;
  }
  if (!any) {
    writable_ = nullptr;
    state_.Publish(nullptr);
    return;
  }
  catalogue_size_ = now.catalogue->size();
  unknown_items_ = false;
  auto state = std::make_unique<State>(options_, now.snapshot);
  std::vector<LivePartition> partitions;
  for_each_user([&](absl::string_view user_id, const LiveUserViews& views) {
    PartitionsOf(views, now, &partitions);
    Set(user_id, partitions, *now.catalogue, context, state.get());
  });
  writable_ = state.get();
  state_.Publish(std::move(state));
}

void LiveSessions::Set(absl::string_view user_id, absl::Span<const LivePartition> partitions,
                       const Catalogue& catalogue, const ContextPublisher& context, State* state) {
  // Served, never learned from.
  const UserInfo* const user = context.FindUser(user_id);
  const bool tracked = user == nullptr || user->consent != v1::CONSENT_NO_TRACKING;
  std::vector<Session> sessions;
  if (tracked) {
    sessions = LiveSessionsOf(user_id, partitions, catalogue, state->stored, &unknown_items_);
  }
  state->index.SetUser(LiveSessionUser(user_id), std::move(sessions));
}

void LiveSessions::Set(absl::string_view user_id, const LiveUserViews& views, const ContextPublisher& context) {
  EpochGuard guard;
  const ServingContext* const now = ContextOf(context);
  // Else Follow will make another one.
  if (now != nullptr && writable_ != nullptr && now->snapshot == writable_->snapshot) {
    std::vector<LivePartition> partitions;
    PartitionsOf(views, *now, &partitions);
    Set(user_id, partitions, *now->catalogue, context, writable_);
  }
}

void LiveSessions::Reclaim() {
  if (writable_ != nullptr) {
    writable_->index.Reclaim();
  }
}

}  // namespace tributary::serving
