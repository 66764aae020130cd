#ifndef TRIBUTARY_TESTS_FAKES_FAKE_GROUP_H_
#define TRIBUTARY_TESTS_FAKES_FAKE_GROUP_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/event_log/event_log.h"

// Consumer groups of FakeEventLog: the classic protocol with the range assignor, in which every member gives up all it has
// before the next generation is dealt out. No locks here: FakeEventLog has one for everything.
namespace tributary::fake_log {

// A member as the group and its reader share it.
struct Member {
  enum class State {
    kJoining,    // Waits for the next generation.
    kStable,     // Has the assignment of the group's generation.
    kRevoking,   // Has been told of a rebalance and holds it up until it acknowledges.
    kLost,       // Is out of the group and joins again when it acknowledges.
    kOut,        // Is out of the group, had nothing to lose, and joins again when it polls.
    kGone,       // Left, or was replaced.
  };
  std::string group;
  std::string instance;
  std::string topic;
  int64_t id = 0;                              // New with each joining.
  State state = State::kJoining;
  bool fenced = false;                         // Replaced by a member of the same instance.
  bool alive = true;                           // Its reader exists.
  bool revoked_delivered = false;              // The reader has seen the last Revoked.
  int32_t generation = -1;
  int32_t gave_up = -1;                        // The generation whose assignment it gave up in order, as this member.
  std::vector<TopicPartition> assignment;
  std::deque<LogEvent> events;                 // For the reader.
};

struct Membership final : GroupMembership {
  std::string group;
  int64_t member = 0;
  int32_t generation = 0;
};

class Groups {
 public:
  // `partition_count` of a topic, 0 if there is none.
  using PartitionCount = absl::FunctionRef<int(const std::string&)>;

  std::shared_ptr<Member> Join(const GroupReaderOptions& options, PartitionCount count);
  void Leave(Member& member, PartitionCount count);
  void Acknowledge(const std::shared_ptr<Member>& member, PartitionCount count);
  // To be called by the member's Poll.
  void JoinAgainIfOut(const std::shared_ptr<Member>& member, PartitionCount count);
  void Expire(const std::string& group, const std::string& instance, PartitionCount count);
  void ExpireDead(const std::string& group, PartitionCount count);
  void Rebalance(const std::string& group, PartitionCount count);
  void RebalanceReadersOf(const std::string& topic, PartitionCount count);

  // Aborted: no member of the group's generation.
  absl::Status Check(const Membership& membership) const;
  void StoreOffsets(const std::string& group, absl::Span<const std::pair<TopicPartition, Offset>> offsets);
  std::map<TopicPartition, Offset> Offsets(const std::string& group) const;
  int32_t Generation(const std::string& group) const;

 private:
  struct Group {
    int32_t generation = 0;
    std::vector<std::shared_ptr<Member>> members;
    std::map<TopicPartition, Offset> offsets;
  };

  // Makes it a member; one of the same instance that is in the group is fenced, and its place taken.
  void Enter(Group& group, const std::shared_ptr<Member>& joining, PartitionCount count);
  void Rebalance(Group& group, PartitionCount count);
  // Deals out the next generation if every member waits for it.
  void CompleteIfAllJoined(Group& group, PartitionCount count);

  std::map<std::string, Group> groups_;
  int64_t last_id_ = 0;
};

}  // namespace tributary::fake_log

#endif  // TRIBUTARY_TESTS_FAKES_FAKE_GROUP_H_
