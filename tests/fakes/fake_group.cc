#include "tests/fakes/fake_group.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tributary::fake_log {
namespace {

void Remove(std::vector<std::shared_ptr<Member>>& members, const Member& member) {
  members.erase(std::remove_if(members.begin(), members.end(), [&](const auto& other) { return other.get() == &member; }),
                members.end());
}

// Kafka's RangeAssignor for one topic: consecutive partitions, the first members get one more.
void AssignRange(absl::Span<const std::shared_ptr<Member>> members, const std::string& topic, int partitions) {
  const int count = static_cast<int>(members.size());
  int next = 0;
  for (int rank = 0; rank < count; ++rank) {
    const int share = partitions / count + (rank < partitions % count ? 1 : 0);
    for (int i = 0; i < share; ++i) {
      members[rank]->assignment.push_back({topic, PartitionId{next++}});
    }
  }
}

}  // namespace

std::shared_ptr<Member> Groups::Join(const GroupReaderOptions& options, PartitionCount count) {
  Group& group = groups_[options.group];
  auto joining = std::make_shared<Member>();
  joining->group = options.group;
  joining->instance = options.instance;
  joining->topic = options.topic;
  Enter(group, joining, count);
  return joining;
}

void Groups::Enter(Group& group, const std::shared_ptr<Member>& joining, PartitionCount count) {
  joining->id = ++last_id_;
  joining->state = Member::State::kJoining;
  joining->gave_up = -1;
  joining->assignment.clear();
  if (!joining->instance.empty()) {
    for (std::shared_ptr<Member>& member : group.members) {
      if (member->instance != joining->instance) {
        continue;
      }
      // The same instance again: it takes over what the one before had, and nobody else notices.
      const std::shared_ptr<Member> before = std::exchange(member, joining);
      const bool stable = before->state == Member::State::kStable;
      before->state = Member::State::kGone;
      before->fenced = true;
      before->events.clear();
      if (stable && before->topic == joining->topic) {
        joining->state = Member::State::kStable;
        joining->generation = before->generation;
        joining->assignment = before->assignment;
        joining->events.push_back(Assigned{joining->assignment, joining->generation});
      } else if (stable) {
        Rebalance(group, count);
      } else {
        CompleteIfAllJoined(group, count);
      }
      return;
    }
  }
  group.members.push_back(joining);
  Rebalance(group, count);
}

void Groups::Leave(Member& member, PartitionCount count) {
  Group& group = groups_[member.group];
  const bool was_in_group = member.state != Member::State::kLost && member.state != Member::State::kOut &&
                            member.state != Member::State::kGone;
  member.state = Member::State::kGone;
  member.events.clear();
  if (was_in_group) {
    Remove(group.members, member);
    Rebalance(group, count);
  }
}

void Groups::Acknowledge(const std::shared_ptr<Member>& member, PartitionCount count) {
  if (!member->revoked_delivered) {
    return;
  }
  member->revoked_delivered = false;
  Group& group = groups_[member->group];
  if (member->state == Member::State::kRevoking) {
    member->state = Member::State::kJoining;
    member->gave_up = member->generation;
    member->assignment.clear();
    CompleteIfAllJoined(group, count);
  } else if (member->state == Member::State::kLost) {
    Enter(group, member, count);
  }
}

void Groups::JoinAgainIfOut(const std::shared_ptr<Member>& member, PartitionCount count) {
  if (member->state == Member::State::kOut) {
    Enter(groups_[member->group], member, count);
  }
}

void Groups::Expire(const std::string& name, const std::string& instance, PartitionCount count) {
  Group& group = groups_[name];
  const auto found = std::find_if(group.members.begin(), group.members.end(),
                                  [&](const auto& member) { return member->instance == instance; });
  if (found == group.members.end()) {
    return;
  }
  const std::shared_ptr<Member> member = *found;
  group.members.erase(found);
  if (!member->alive) {
    member->state = Member::State::kGone;
  } else if (member->assignment.empty()) {
    member->state = Member::State::kOut;
  } else {
    // Also to one that is revoking: what it was told to give up in order, it has now lost.
    member->state = Member::State::kLost;
    member->revoked_delivered = false;
    member->events.push_back(Revoked{member->assignment, /*lost=*/true});
  }
  Rebalance(group, count);
}

void Groups::ExpireDead(const std::string& name, PartitionCount count) {
  Group& group = groups_[name];
  if (std::erase_if(group.members, [](const auto& member) { return !member->alive; }) > 0) {
    Rebalance(group, count);
  }
}

void Groups::Rebalance(const std::string& name, PartitionCount count) { Rebalance(groups_[name], count); }

void Groups::RebalanceReadersOf(const std::string& topic, PartitionCount count) {
  for (auto& [name, group] : groups_) {
    if (std::any_of(group.members.begin(), group.members.end(),
                    [&](const auto& member) { return member->topic == topic; })) {
      Rebalance(group, count);
    }
  }
}

void Groups::Rebalance(Group& group, PartitionCount count) {
  for (const std::shared_ptr<Member>& member : group.members) {
    if (member->state != Member::State::kStable) {
      continue;
    }
    if (member->assignment.empty()) {
      member->state = Member::State::kJoining;
      member->gave_up = member->generation;
    } else {
      member->state = Member::State::kRevoking;
      member->revoked_delivered = false;
      member->events.push_back(Revoked{member->assignment, /*lost=*/false});
    }
  }
  CompleteIfAllJoined(group, count);
}

void Groups::CompleteIfAllJoined(Group& group, PartitionCount count) {
  if (group.members.empty() || !std::all_of(group.members.begin(), group.members.end(), [](const auto& member) {
        return member->state == Member::State::kJoining;
      })) {
    return;
  }
  ++group.generation;
  std::vector<std::shared_ptr<Member>> in_order = group.members;
  std::sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return std::tie(a->topic, a->instance, a->id) < std::tie(b->topic, b->instance, b->id);
  });
  for (size_t first = 0; first < in_order.size();) {
    size_t last = first;
    while (last < in_order.size() && in_order[last]->topic == in_order[first]->topic) {
      ++last;
    }
    const std::string& topic = in_order[first]->topic;
    AssignRange(absl::MakeSpan(in_order).subspan(first, last - first), topic, count(topic));
    first = last;
  }
  for (const std::shared_ptr<Member>& member : in_order) {
    member->state = Member::State::kStable;
    member->generation = group.generation;
    const bool unbroken = member->gave_up == group.generation - 1;
    member->events.push_back(Assigned{member->assignment, group.generation, unbroken});
  }
}

absl::Status Groups::Check(const Membership& membership) const {
  if (const auto group = groups_.find(membership.group); group != groups_.end()) {
    for (const std::shared_ptr<Member>& member : group->second.members) {
      if (member->id == membership.member && group->second.generation == membership.generation) {
        return absl::OkStatus();
      }
    }
  }
  return absl::AbortedError(absl::StrCat("not a member of the group's generation any more: group=", membership.group,
                                         " generation=", membership.generation));
}

void Groups::StoreOffsets(const std::string& group, absl::Span<const std::pair<TopicPartition, Offset>> offsets) {
  for (const auto& [partition, offset] : offsets) {
    groups_[group].offsets[partition] = offset;
  }
}

std::map<TopicPartition, Offset> Groups::Offsets(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? std::map<TopicPartition, Offset>() : found->second.offsets;
}

int32_t Groups::Generation(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second.generation;
}

}  // namespace tributary::fake_log
