#include <algorithm>
#include <limits>

#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include "common/user_state/live_user.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a speed view: what LiveUser takes from them is written back the same, and stays in order and within its
// limits through an event and a trim.
namespace tributary::fuzz {
namespace {

constexpr UserLimits kLimits{.facts = 8, .impressions = 16};

// Protobuf writes a line for every text that is not UTF-8.
[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

std::string Written(const LiveUser& user) {
  v1::SpeedView view;
  user.ToProto(&view);
  return view.SerializeAsString();
}

void CheckOrder(const std::vector<Fact>& facts) {
  CHECK(std::is_sorted(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) { return a.offset < b.offset; }));
}

void CheckLife(LiveUser user, Offset floor) {
  for (const std::vector<Fact>& facts : {user.facts(), user.recent(), user.impressions()}) {
    if (!facts.empty() && facts.back().offset >= Offset{std::numeric_limits<int64_t>::max() - 1}) return;
  }
  Event event;
  event.type = v1::PURCHASE;
  event.item_id = "tea";
  event.event_time_unix_ms = 1700000000000;
  event.event_id_hash = 77;
  Offset next{0};
  if (!user.impressions().empty()) next = Next(user.impressions().back().offset);
  if (!user.recent().empty()) next = std::max(next, Next(user.recent().back().offset));
  if (!user.facts().empty()) next = std::max(next, Next(user.facts().back().offset));
  user.Apply(event, next, 1700000000000, kLimits);
  CheckOrder(user.facts());
  event.type = v1::IMPRESSION;
  event.event_id_hash = 78;
  user.Apply(event, Next(next), 1700000000000, kLimits);
  CheckOrder(user.impressions());
  CHECK_LE(user.impressions().size(), kLimits.impressions);
  user.Trim(floor, 1700000000000);
  CheckOrder(user.facts());
  CheckOrder(user.recent());
  CHECK_LE(user.recent().size(), kRecentFacts);
  CHECK_LE(user.recent_ids().size(), kDedupIds);
  for (const Fact& fact : user.facts()) CHECK(fact.offset >= floor);
  CHECK(!user.Trim(floor, 1700000000000)) << "the same trim again changes nothing";
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  LiveUser user;
  for (int64_t offset = 0; offset < 14; ++offset) {
    Event event;
    event.type = static_cast<EventType>(1 + offset % v1::FORGET);
    event.user_id = "ann";
    event.item_id = "tea";
    event.query = "green";
    event.session_id = "s";
    event.event_time_unix_ms = 1700000000000 + offset;
    event.event_id_hash = static_cast<uint64_t>(1 + offset);
    user.Apply(event, Offset{offset}, 1700000000000 + offset, kLimits);
    seeds.push_back(Written(user));
    if (offset % 4 == 3) user.Trim(Offset{offset - 2}, 1700000000000 + offset);
  }
  seeds.push_back(Written(user));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  v1::SpeedView view;
  const auto from_bytes = LiveUser::FromBytes({reinterpret_cast<const char*>(data), size});
  if (!view.ParseFromArray(data, static_cast<int>(size))) {
    CHECK(absl::IsDataLoss(from_bytes.status())) << from_bytes.status();
    return 0;
  }
  const auto user = LiveUser::FromProto(view);
  CHECK(from_bytes.status() == user.status()) << from_bytes.status();
  if (!user.ok()) {
    CHECK(absl::IsInvalidArgument(user.status()));
    return 0;
  }
  CHECK(fuzz::Written(*from_bytes) == fuzz::Written(*user)) << "read straight from the bytes it says something else";
  v1::SpeedView written;
  user->ToProto(&written);
  const auto again = LiveUser::FromProto(written);
  CHECK(again.ok()) << again.status();
  CHECK(fuzz::Written(*again) == fuzz::Written(*user));
  fuzz::CheckLife(*user, Offset{view.position().floor()});
  return 0;
}
