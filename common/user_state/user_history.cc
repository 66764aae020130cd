#include "common/user_state/user_history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

using Slot = std::pair<ItemNumber, EventType>;

Slot SlotOf(const Decision& decision) { return {decision.item, decision.kind}; }

// The same event may come twice; should two records of it differ, both sides still choose the same one.
bool IsLater(const Decision& a, const Decision& b) {
  return std::pair(a.key, a.value_micros) > std::pair(b.key, b.value_micros);
}

bool IsHidden(const Decision& decision, const std::optional<int64_t>& forgotten_until_unix_ms) {
  return forgotten_until_unix_ms && decision.key.event_time_unix_ms <= *forgotten_until_unix_ms;
}

}  // namespace

const Decision* LatestOf(absl::Span<const Decision> decisions, std::initializer_list<EventType> kinds) {
  const Decision* latest = nullptr;
  for (const Decision& decision : decisions) {
    if (std::find(kinds.begin(), kinds.end(), decision.kind) == kinds.end()) continue;
    if (latest == nullptr || decision.key > latest->key) latest = &decision;
  }
  return latest;
}

bool IsLongTerm(EventType kind) {
  switch (kind) {
    case EventType::VIEW:
    case EventType::CLICK:
    case EventType::ADD_TO_CART:
    case EventType::PURCHASE:
    case EventType::RETURN:
    case EventType::LIKE:
    case EventType::DISLIKE:
    case EventType::RATING:
    case EventType::FORGET:
      return true;
    default:
      return false;
  }
}

void UserHistory::Apply(EventType kind, ItemNumber item, const DecisionKey& key, int64_t value_micros) {
  if (!IsLongTerm(kind)) return;
  if (kind == EventType::FORGET) {
    Forget(key.event_time_unix_ms);
    return;
  }
  const Decision decision{item, kind, key, value_micros};
  if (IsHidden(decision, forgotten_until_unix_ms_)) return;
  const auto at = std::lower_bound(decisions_.begin(), decisions_.end(), SlotOf(decision),
                                   [](const Decision& d, const Slot& slot) { return SlotOf(d) < slot; });
  if (at == decisions_.end() || SlotOf(*at) != SlotOf(decision)) {
    decisions_.insert(at, decision);
  } else if (IsLater(decision, *at)) {
    *at = decision;
  }
}

void UserHistory::Forget(int64_t until_unix_ms) {
  if (forgotten_until_unix_ms_ && *forgotten_until_unix_ms_ >= until_unix_ms) return;
  forgotten_until_unix_ms_ = until_unix_ms;
  std::erase_if(decisions_, [&](const Decision& decision) { return IsHidden(decision, forgotten_until_unix_ms_); });
}

void UserHistory::Combine(const UserHistory& other) {
  if (&other == this) return;
  if (other.forgotten_until_unix_ms_) Forget(*other.forgotten_until_unix_ms_);

  // Merged from the back into the same array: nothing is allocated when the capacity is there.
  size_t added = 0;
  size_t mine = 0;
  for (const Decision& decision : other.decisions_) {
    if (IsHidden(decision, forgotten_until_unix_ms_)) continue;
    while (mine < decisions_.size() && SlotOf(decisions_[mine]) < SlotOf(decision)) ++mine;
    if (mine == decisions_.size() || SlotOf(decisions_[mine]) != SlotOf(decision)) ++added;
  }
  mine = decisions_.size();
  decisions_.resize(mine + added);
  size_t to = decisions_.size();
  for (size_t theirs = other.decisions_.size(); theirs > 0; --theirs) {
    const Decision& decision = other.decisions_[theirs - 1];
    if (IsHidden(decision, forgotten_until_unix_ms_)) continue;
    while (mine > 0 && SlotOf(decisions_[mine - 1]) > SlotOf(decision)) decisions_[--to] = decisions_[--mine];
    if (mine > 0 && SlotOf(decisions_[mine - 1]) == SlotOf(decision)) {
      --mine;
      decisions_[--to] = IsLater(decision, decisions_[mine]) ? decision : decisions_[mine];
    } else {
      decisions_[--to] = decision;
    }
  }
}

void UserHistory::Clear() {
  decisions_.clear();
  forgotten_until_unix_ms_.reset();
}

absl::Span<const Decision> UserHistory::Find(ItemNumber item) const {
  const auto begin =
      std::lower_bound(decisions_.begin(), decisions_.end(), item,
                       [](const Decision& decision, ItemNumber wanted) { return decision.item < wanted; });
  auto end = begin;
  while (end != decisions_.end() && end->item == item) ++end;
  return absl::MakeConstSpan(decisions_)
      .subspan(static_cast<size_t>(begin - decisions_.begin()), static_cast<size_t>(end - begin));
}

absl::Status UserHistory::Assign(const v1::Profile& profile) {
  Clear();
  const int size = profile.items_size();
  for (const int other : {profile.kinds_size(), profile.event_times_unix_ms_size(), profile.partitions_size(),
                          profile.offsets_size(), profile.values_micros_size()}) {
    if (other != size) {
      return absl::InvalidArgumentError(
          absl::StrCat("profile has arrays of different length: items=", size, " other=", other));
    }
  }
  std::vector<Decision> decisions;
  decisions.reserve(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    decisions.push_back(
        {ItemNumber{profile.items(i)},
         profile.kinds(i),
         {profile.event_times_unix_ms(i), {PartitionId{profile.partitions(i)}, Offset{profile.offsets(i)}}},
         profile.values_micros(i)});
  }
  return Assign(&decisions, profile.has_forgotten_until_unix_ms() ? std::optional(profile.forgotten_until_unix_ms())
                                                                  : std::nullopt);
}

absl::Status UserHistory::Assign(std::vector<Decision>* decisions, std::optional<int64_t> forgotten_until_unix_ms) {
  Clear();
  for (size_t i = 0; i < decisions->size(); ++i) {
    const Decision& decision = (*decisions)[i];
    if (!IsLongTerm(decision.kind) || decision.kind == EventType::FORGET) {
      return absl::InvalidArgumentError(absl::StrCat("profile has a kind that it does not keep: index=", i,
                                                     " kind=", static_cast<int>(decision.kind)));
    }
    if (i > 0 && SlotOf((*decisions)[i - 1]) >= SlotOf(decision)) {
      return absl::InvalidArgumentError(absl::StrCat("profile is not sorted by item and kind: index=", i));
    }
  }
  decisions_.swap(*decisions);
  if (forgotten_until_unix_ms) Forget(*forgotten_until_unix_ms);
  return absl::OkStatus();
}

void UserHistory::ToProto(v1::Profile* profile) const {
  profile->Clear();
  for (const Decision& decision : decisions_) {
    profile->add_items(Value(decision.item));
    profile->add_kinds(decision.kind);
    profile->add_event_times_unix_ms(decision.key.event_time_unix_ms);
    profile->add_partitions(Value(decision.key.position.partition));
    profile->add_offsets(Value(decision.key.position.offset));
    profile->add_values_micros(decision.value_micros);
  }
  if (forgotten_until_unix_ms_) profile->set_forgotten_until_unix_ms(*forgotten_until_unix_ms_);
}

}  // namespace tributary
