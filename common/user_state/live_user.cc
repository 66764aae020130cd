#include "common/user_state/live_user.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

constexpr Offset kUnknownEnd{std::numeric_limits<int64_t>::max()};

// What goes first when there are too many facts: the smallest class, in it the oldest.
enum class KeepClass { kPassing, kLooking, kOther, kDeciding, kForget };

KeepClass KeepClassOf(const Fact& fact) {
  switch (fact.kind) {
    case EventType::SEARCH:
      return KeepClass::kPassing;
    case EventType::VIEW:
    case EventType::CLICK:
      return fact.item_id.empty() ? KeepClass::kPassing : KeepClass::kLooking;
    case EventType::PURCHASE:
    case EventType::RETURN:
    case EventType::LIKE:
    case EventType::DISLIKE:
    case EventType::RATING:
      return KeepClass::kDeciding;
    case EventType::FORGET:
      return KeepClass::kForget;
    default:
      return KeepClass::kOther;
  }
}

absl::Status ReadFacts(const google::protobuf::RepeatedPtrField<v1::Fact>& messages, absl::string_view name,
                       std::vector<Fact>* facts) {
  facts->reserve(static_cast<size_t>(messages.size()));
  for (const v1::Fact& message : messages) {
    if (message.kind() == v1::EVENT_TYPE_UNSPECIFIED || message.kind() == v1::IMPRESSION) {
      return absl::InvalidArgumentError(
          absl::StrCat("speed view has a fact of no kind: field=", name, " offset=", message.offset()));
    }
    const bool in_order = facts->empty() || Value(facts->back().offset) < message.offset();
    if (message.offset() < 0 || !in_order) {
      return absl::InvalidArgumentError(
          absl::StrCat("speed view has facts out of order: field=", name, " offset=", message.offset()));
    }
    facts->push_back(FromProto(message));
  }
  return absl::OkStatus();
}

}  // namespace

LiveUser::Outcome LiveUser::Apply(const Event& event, Offset offset, int64_t record_time_unix_ms, size_t max_facts) {
  if (recent_ids_.Contains(event.event_id_hash, record_time_unix_ms)) return Outcome::kDuplicate;
  recent_ids_.DropExpired(record_time_unix_ms);
  recent_ids_.Add(event.event_id_hash, record_time_unix_ms);
  PruneRecent(record_time_unix_ms);
  std::optional<Fact> fact = FactOf(event, offset, record_time_unix_ms);
  if (!fact || fact->event_time_unix_ms <= forgotten_until_unix_ms_) return Outcome::kAccepted;
  if (fact->kind == EventType::FORGET) DropHidden(fact->event_time_unix_ms);
  facts_.push_back(*std::move(fact));
  Bound(max_facts);
  return Outcome::kAccepted;
}

void LiveUser::DropHidden(int64_t until_unix_ms) {
  const auto is_hidden = [=](const Fact& fact) { return fact.event_time_unix_ms <= until_unix_ms; };
  std::erase_if(facts_, is_hidden);
  std::erase_if(recent_, is_hidden);
  forgotten_until_unix_ms_ = until_unix_ms;
}

void LiveUser::FindForgets() {
  forgotten_until_unix_ms_ = kNeverForgotten;
  for (const std::vector<Fact>* facts : {&recent_, &facts_}) {
    for (const Fact& fact : *facts) {
      if (fact.kind != EventType::FORGET) continue;
      forgotten_until_unix_ms_ = std::max(forgotten_until_unix_ms_, fact.event_time_unix_ms);
    }
  }
}

void LiveUser::Bound(size_t max_facts) {
  if (facts_.size() <= max_facts) return;
  // Classes that cost little make room for a sixteenth at once, so that a user who stays at the limit does not cost a
  // pass over all facts for every event.
  const size_t roomy = max_facts - max_facts / 16;
  for (const KeepClass smallest :
       {KeepClass::kPassing, KeepClass::kLooking, KeepClass::kOther, KeepClass::kDeciding, KeepClass::kForget}) {
    const size_t target = smallest < KeepClass::kDeciding ? roomy : max_facts;
    if (facts_.size() <= target) break;
    size_t surplus = facts_.size() - target;
    std::erase_if(facts_, [&](const Fact& fact) {
      if (surplus == 0 || KeepClassOf(fact) != smallest) return false;
      --surplus;
      truncated_end_ = std::max(truncated_end_, Next(fact.offset));
      return true;
    });
  }
  if (forgotten_until_unix_ms_ != kNeverForgotten) FindForgets();
}

bool LiveUser::PruneRecent(int64_t record_time_unix_ms) {
  auto keep = recent_.size() > kRecentFacts ? recent_.end() - kRecentFacts : recent_.begin();
  while (keep != recent_.end() && record_time_unix_ms - keep->record_time_unix_ms > kRecentFactMs) ++keep;
  if (keep == recent_.begin()) return false;
  recent_.erase(recent_.begin(), keep);
  if (forgotten_until_unix_ms_ != kNeverForgotten) FindForgets();
  return true;
}

bool LiveUser::Trim(Offset floor, int64_t record_time_unix_ms) {
  bool changed = recent_ids_.DropExpired(record_time_unix_ms);
  const auto keep =
      std::partition_point(facts_.begin(), facts_.end(), [floor](const Fact& fact) { return fact.offset < floor; });
  if (keep != facts_.begin()) {
    // What would be pruned at once is not moved.
    const auto begin =
        keep - facts_.begin() > static_cast<ptrdiff_t>(kRecentFacts) ? keep - kRecentFacts : facts_.begin();
    recent_.insert(recent_.end(), std::make_move_iterator(begin), std::make_move_iterator(keep));
    facts_.erase(facts_.begin(), keep);
    if (facts_.capacity() > 2 * facts_.size()) facts_.shrink_to_fit();
    changed = true;
  }
  if (truncated() && truncated_end_ <= floor) {
    truncated_end_ = Offset{0};
    changed = true;
  }
  return PruneRecent(record_time_unix_ms) || changed;
}

absl::StatusOr<LiveUser> LiveUser::FromProto(const v1::SpeedView& view) {
  LiveUser user;
  TRIBUTARY_RETURN_IF_ERROR(ReadFacts(view.recent(), "recent", &user.recent_));
  TRIBUTARY_RETURN_IF_ERROR(ReadFacts(view.facts(), "facts", &user.facts_));
  if (!user.recent_.empty() && !user.facts_.empty() && user.recent_.back().offset >= user.facts_.front().offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        "speed view has recent facts among the facts above the floor: offset=", Value(user.recent_.back().offset)));
  }
  if (view.recent_id_hashes_size() != view.recent_id_record_times_unix_ms_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("speed view has arrays of different length: recent_id_hashes=", view.recent_id_hashes_size(),
                     " recent_id_record_times_unix_ms=", view.recent_id_record_times_unix_ms_size()));
  }
  for (int i = 0; i < view.recent_id_hashes_size(); ++i) {
    if (i > 0 && view.recent_id_record_times_unix_ms(i) < view.recent_id_record_times_unix_ms(i - 1)) {
      return absl::InvalidArgumentError(absl::StrCat("speed view has ids out of order: index=", i));
    }
    user.recent_ids_.Add(view.recent_id_hashes(i), view.recent_id_record_times_unix_ms(i));
  }
  if (view.truncated()) {
    // Without the end it is not known which floor leaves the hole behind.
    user.truncated_end_ = view.truncated_end_offset() > 0 ? Offset{view.truncated_end_offset()} : kUnknownEnd;
  }
  user.FindForgets();
  return user;
}

void LiveUser::ToProto(v1::SpeedView* view) const {
  view->mutable_facts()->Reserve(static_cast<int>(facts_.size()));
  for (const Fact& fact : facts_) tributary::ToProto(fact, view->add_facts());
  for (const Fact& fact : recent_) tributary::ToProto(fact, view->add_recent());
  for (const RecentIds::Entry& entry : recent_ids_.entries()) {
    view->add_recent_id_hashes(entry.hash);
    view->add_recent_id_record_times_unix_ms(entry.record_time_unix_ms);
  }
  view->set_truncated(truncated());
  if (truncated() && truncated_end_ != kUnknownEnd) view->set_truncated_end_offset(Value(truncated_end_));
}

}  // namespace tributary
