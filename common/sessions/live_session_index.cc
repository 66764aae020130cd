#include "common/sessions/live_session_index.h"

#include <algorithm>
#include <utility>

namespace tributary {
namespace {

constexpr int64_t kSessionBytes = 250;     // Of a session without items, with its places in the writer's tables.
constexpr int64_t kSessionItemBytes = 36;  // With its place in the item's list, and what growing leaves unused.
constexpr size_t kRetiredAtMost = 1024;

}  // namespace

template <typename T>
void LiveSessionIndex::PointerTable<T>::Clear() {
  for (uint32_t b = 0; b < kBlocks; ++b) {
    const std::unique_ptr<Block> block(blocks_[b].load(std::memory_order_acquire));
    if (block == nullptr) {
      continue;
    }
    for (const std::atomic<const T*>& value : *block) {
      delete value.load(std::memory_order_relaxed);
    }
  }
}

template <typename T>
std::unique_ptr<const T> LiveSessionIndex::PointerTable<T>::Set(uint32_t number, std::unique_ptr<const T> value) {
  std::atomic<Block*>& place = blocks_[number / kBlockSize];
  Block* block = place.load(std::memory_order_relaxed);
  if (block == nullptr) {
    block = new Block{};
    place.store(block, std::memory_order_release);
  }
  return std::unique_ptr<const T>((*block)[number % kBlockSize].exchange(value.release(), std::memory_order_seq_cst));
}

LiveSessionIndex::LiveSessionIndex(const Options& options, const SessionIndex& stored)
    : options_(options),
      stored_(stored),
      continued_(new std::atomic<uint8_t>[stored.sessions()]()),
      continued_from_(stored.sessions()) {}

LiveSessionIndex::~LiveSessionIndex() = default;

int64_t LiveSessionIndex::BytesOf(const Session& session) {
  return kSessionBytes + kSessionItemBytes * static_cast<int64_t>(session.items.size());
}

bool LiveSessionIndex::Counts(const Session& session, uint32_t item) const {
  if (session.stored == kNotStored) {
    return true;
  }
  const absl::Span<const uint32_t> items = stored_.ItemsOf(session.stored);
  return std::find(items.begin(), items.end(), item) == items.end();
}

void LiveSessionIndex::Continue(uint32_t stored, int by) {
  continued_[stored].fetch_add(static_cast<uint8_t>(by), std::memory_order_relaxed);
  if (stored < continued_from_.load(std::memory_order_relaxed)) {
    continued_from_.store(stored, std::memory_order_relaxed);
  }
}

uint32_t LiveSessionIndex::NewSlot() {
  if (!free_slots_.empty()) {
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  return slot_count_.fetch_add(1, std::memory_order_acq_rel);
}

// The session's place in the item's list; `time` null: it has none any more.
void LiveSessionIndex::ChangeItem(uint32_t item, uint32_t slot, const Session* before, const Session* after,
                                  const int64_t* time) {
  if (item >= kNumbers) {
    return;
  }
  static const SessionsOfItem* const none = new SessionsOfItem;
  const SessionsOfItem* old = items_.Get(item);
  old = old == nullptr ? none : old;
  auto next = std::make_unique<SessionsOfItem>();
  next->count = old->count;
  next->count -= before != nullptr && Counts(*before, item) ? 1 : 0;
  next->count += after != nullptr && Counts(*after, item) ? 1 : 0;
  next->entries.reserve(old->entries.size() + 1);
  bool placed = time == nullptr;
  const auto comes_first = [&](const Entry& entry) {  // The new place comes before this one.
    if (*time != entry.time_unix_ms) {
      return *time > entry.time_unix_ms;
    }
    const Session& other = *slots_.Get(entry.slot);
    return std::tie(after->user, after->id) > std::tie(other.user, other.id);
  };
  for (const Entry& entry : old->entries) {
    if (entry.slot == slot) {
      continue;
    }
    if (!placed && comes_first(entry)) {
      next->entries.push_back({*time, slot});
      placed = true;
    }
    next->entries.push_back(entry);
  }
  if (!placed) {
    next->entries.push_back({*time, slot});
  }
  if (next->entries.size() > options_.sessions_per_item) {
    next->entries.resize(options_.sessions_per_item);
  }
  if (next->entries.empty()) {
    next = nullptr;
  }
  if (auto replaced = items_.Set(item, std::move(next)); replaced != nullptr) {
    retired_items_.Retire(std::move(replaced));
  }
}

void LiveSessionIndex::Change(uint32_t slot, const Session* before, std::unique_ptr<const Session> after) {
  const auto by_item = [](const Session* session) {
    std::vector<std::pair<uint32_t, int64_t>> items;
    if (session != nullptr) {
      for (size_t i = 0; i < session->items.size(); ++i) {
        items.emplace_back(session->items[i], session->item_times[i]);
      }
      std::sort(items.begin(), items.end());
    }
    return items;
  };
  const Session* const next = after.get();
  const auto old_items = by_item(before);
  const auto new_items = by_item(next);
  if (before != nullptr) {
    by_age_.erase(AgeOf(*before, slot));
    bytes_ -= BytesOf(*before);
    before->stored == kNotStored ? static_cast<void>(sessions_.fetch_sub(1, std::memory_order_relaxed))
                                 : Continue(before->stored, -1);
  }
  if (next != nullptr) {
    by_age_.insert(AgeOf(*next, slot));
    bytes_ += BytesOf(*next);
    next->stored == kNotStored ? static_cast<void>(sessions_.fetch_add(1, std::memory_order_relaxed))
                               : Continue(next->stored, 1);
    // A reader finds the session before its items lead to it, and until they do not any more.
    if (auto replaced = slots_.Set(slot, std::move(after)); replaced != nullptr) {
      retired_sessions_.Retire(std::move(replaced));
    }
  }
  const bool recount = before != nullptr && next != nullptr && before->stored != next->stored;
  for (size_t i = 0, j = 0; i < old_items.size() || j < new_items.size();) {
    if (j == new_items.size() || (i < old_items.size() && old_items[i].first < new_items[j].first)) {
      ChangeItem(old_items[i].first, slot, before, nullptr, nullptr);
      ++i;
    } else if (i == old_items.size() || new_items[j].first < old_items[i].first) {
      ChangeItem(new_items[j].first, slot, nullptr, next, &new_items[j].second);
      ++j;
    } else {
      if (recount || old_items[i].second != new_items[j].second) {
        ChangeItem(new_items[j].first, slot, before, next, &new_items[j].second);
      }
      ++i;
      ++j;
    }
  }
  if (next == nullptr) {
    retired_sessions_.Retire(slots_.Set(slot, nullptr));
    free_slots_.push_back(slot);
  }
  version_.fetch_add(1, std::memory_order_release);
}

void LiveSessionIndex::Erase(uint32_t slot) {
  const Session* const session = slots_.Get(slot);
  const auto user = users_.find(session->user);
  user->second.erase(std::find(user->second.begin(), user->second.end(), slot));
  if (user->second.empty()) {
    users_.erase(user);
  }
  Change(slot, session, nullptr);
}

void LiveSessionIndex::EvictBeyondBudget() {
  while ((bytes_ > options_.memory_budget_bytes || by_age_.size() >= kNumbers) && !by_age_.empty()) {
    Erase(std::get<3>(*by_age_.begin()));
  }
}

void LiveSessionIndex::SetUser(uint64_t user, std::vector<Session> sessions) {
  const auto known = users_.find(user);
  std::vector<uint32_t> old_slots = known == users_.end() ? std::vector<uint32_t>() : std::move(known->second);
  std::vector<uint32_t> slots;
  for (Session& session : sessions) {
    const auto old = std::find_if(old_slots.begin(), old_slots.end(),
                                  [&](uint32_t slot) { return slots_.Get(slot)->id == session.id; });
    uint32_t slot = 0;
    const Session* before = nullptr;
    if (old != old_slots.end()) {
      slot = *old;
      before = slots_.Get(slot);
      old_slots.erase(old);
      if (*before == session) {
        slots.push_back(slot);
        continue;
      }
    } else {
      // One that would leave at once need not come.
      if (bytes_ + BytesOf(session) > options_.memory_budget_bytes && !by_age_.empty() &&
          AgeOf(session, 0) < *by_age_.begin()) {
        continue;
      }
      slot = NewSlot();
    }
    slots.push_back(slot);
    Change(slot, before, std::make_unique<const Session>(std::move(session)));
  }
  for (const uint32_t slot : old_slots) {
    Change(slot, slots_.Get(slot), nullptr);
  }
  if (slots.empty()) {
    users_.erase(user);
  } else {
    users_[user] = std::move(slots);
  }
  EvictBeyondBudget();
  if (retired_items_.size() > kRetiredAtMost) {
    Reclaim();
  }
}

void LiveSessionIndex::Reclaim() {
  retired_sessions_.Reclaim();
  retired_items_.Reclaim();
}

std::vector<LiveSessionIndex::Session> LiveSessionIndex::All() const {
  std::vector<Session> all;
  for (const Age& age : by_age_) {
    all.push_back(*slots_.Get(std::get<3>(age)));
  }
  return all;
}

}  // namespace tributary
