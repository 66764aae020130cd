#include "common/user_state/live_user.h"

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/event/utf8.h"
#include "common/status/status_macros.h"
#include "common/wire/wire.h"
#include "glog/logging.h"

namespace tributary {
namespace {

using wire::IntBytes;
using wire::TextBytes;
using wire::WriteInt;
using wire::WriteText;

constexpr Offset kUnknownEnd{std::numeric_limits<int64_t>::max()};

// What goes first when there are too many facts: the smallest class, in it the oldest.
enum class KeepClass { kPassing, kLooking, kOther, kDeciding, kForget };
constexpr size_t kKeepClasses = 5;

KeepClass KeepClassOf(const FactView& fact) {
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

void WriteFact(int field, const FactView& fact, std::string* to) {
  const size_t bytes = IntBytes(fact.kind) + TextBytes(fact.item_id) + IntBytes(fact.event_time_unix_ms) +
                       IntBytes(Value(fact.offset)) + IntBytes(fact.value_micros) + IntBytes(fact.quantity_micros) +
                       TextBytes(fact.session_id) + TextBytes(fact.text) + IntBytes(fact.record_time_unix_ms);
  char* at = wire::Extend(to, wire::LengthBytes(bytes) + bytes);
  at = wire::WriteLength(field, bytes, at);
  at = WriteInt(v1::Fact::kKindFieldNumber, fact.kind, at);
  at = WriteText(v1::Fact::kItemIdFieldNumber, fact.item_id, at);
  at = WriteInt(v1::Fact::kEventTimeUnixMsFieldNumber, fact.event_time_unix_ms, at);
  at = WriteInt(v1::Fact::kOffsetFieldNumber, Value(fact.offset), at);
  at = WriteInt(v1::Fact::kValueMicrosFieldNumber, fact.value_micros, at);
  at = WriteInt(v1::Fact::kQuantityMicrosFieldNumber, fact.quantity_micros, at);
  at = WriteText(v1::Fact::kSessionIdFieldNumber, fact.session_id, at);
  at = WriteText(v1::Fact::kTextFieldNumber, fact.text, at);
  WriteInt(v1::Fact::kRecordTimeUnixMsFieldNumber, fact.record_time_unix_ms, at);
}

// Three numbers, which are nobody's business here; only that they can be read.
bool IsPosition(absl::string_view bytes) {
  wire::Reader reader(bytes);
  char tag = 0;
  uint64_t number = 0;
  while (!reader.done()) {
    if (!reader.ReadByte(&tag) || !reader.ReadVarint(&number)) return false;
    if (tag != wire::VarintTag(v1::ViewPosition::kAppliedOffsetFieldNumber) &&
        tag != wire::VarintTag(v1::ViewPosition::kGroupGenerationFieldNumber) &&
        tag != wire::VarintTag(v1::ViewPosition::kFloorFieldNumber)) {
      return false;
    }
  }
  return true;
}

bool ReadText(wire::Reader& reader, absl::string_view* text) {
  return reader.ReadText(text) && (IsPlainText(*text) || IsUtf8(*text));
}

// As WriteFact writes it; false for what only the parser of protobuf may decide on.
bool ReadFact(absl::string_view bytes, FactView* fact) {
  wire::Reader reader(bytes);
  int64_t number = 0;
  bool ok = true;
  while (ok && !reader.done()) {
    char tag = 0;
    reader.ReadByte(&tag);
    switch (tag) {
      case wire::VarintTag(v1::Fact::kKindFieldNumber):
        ok = reader.ReadInt64(&number);
        fact->kind = static_cast<EventType>(static_cast<int32_t>(number));
        break;
      case wire::LengthTag(v1::Fact::kItemIdFieldNumber):
        ok = ReadText(reader, &fact->item_id);
        break;
      case wire::VarintTag(v1::Fact::kEventTimeUnixMsFieldNumber):
        ok = reader.ReadInt64(&fact->event_time_unix_ms);
        break;
      case wire::VarintTag(v1::Fact::kOffsetFieldNumber):
        ok = reader.ReadInt64(&number);
        fact->offset = Offset{number};
        break;
      case wire::VarintTag(v1::Fact::kValueMicrosFieldNumber):
        ok = reader.ReadInt64(&fact->value_micros);
        break;
      case wire::VarintTag(v1::Fact::kQuantityMicrosFieldNumber):
        ok = reader.ReadInt64(&fact->quantity_micros);
        break;
      case wire::LengthTag(v1::Fact::kSessionIdFieldNumber):
        ok = ReadText(reader, &fact->session_id);
        break;
      case wire::LengthTag(v1::Fact::kTextFieldNumber):
        ok = ReadText(reader, &fact->text);
        break;
      case wire::VarintTag(v1::Fact::kRecordTimeUnixMsFieldNumber):
        ok = reader.ReadInt64(&fact->record_time_unix_ms);
        break;
      default:
        return false;
    }
  }
  return ok;
}

}  // namespace

const PackedFacts& LiveUser::RareFacts::Get() const {
  static const PackedFacts& none = *new PackedFacts();
  return facts_ ? *facts_ : none;
}

LiveUser::Outcome LiveUser::Apply(const Event& event, Offset offset, int64_t record_time_unix_ms,
                                  const UserLimits& limits) {
  if (recent_ids_.Contains(event.event_id_hash, record_time_unix_ms)) return Outcome::kDuplicate;
  recent_ids_.DropExpired(record_time_unix_ms);
  recent_ids_.Add(event.event_id_hash, record_time_unix_ms);
  PruneRecent(record_time_unix_ms);
  if (event.event_time_unix_ms <= forgotten_until_unix_ms_) return Outcome::kAccepted;
  if (event.type == EventType::IMPRESSION && limits.impressions > 0) {
    AddImpression(event, offset, record_time_unix_ms, limits.impressions);
  }
  if (!GivesFact(event.type)) return Outcome::kAccepted;
  const FactView fact = FactViewOf(event, offset, record_time_unix_ms);
  if (fact.kind == EventType::FORGET) DropHidden(fact.event_time_unix_ms);
  facts_.Append(fact);
  Bound(limits.facts);
  return Outcome::kAccepted;
}

// Those that are too old have gone before (Apply), so that which ones go here does not rest on when the user was trimmed.
void LiveUser::AddImpression(const Event& event, Offset offset, int64_t record_time_unix_ms, size_t most) {
  impressions_.Append({.kind = event.type,
                       .item_id = event.item_id,
                       .event_time_unix_ms = event.event_time_unix_ms,
                       .offset = offset,
                       .record_time_unix_ms = record_time_unix_ms});
  const size_t size = impressions_.Get().size();
  if (size <= most) return;
  size_t surplus = size - (most - most / 16);
  impressions_.KeepIf([&surplus](const FactView&) { return surplus == 0 || surplus-- == 0; });
}

void LiveUser::DropHidden(int64_t until_unix_ms) {
  const auto stays = [=](const FactView& fact) { return fact.event_time_unix_ms > until_unix_ms; };
  facts_.KeepIf(stays);
  recent_.KeepIf(stays);
  impressions_.KeepIf(stays);
  forgotten_until_unix_ms_ = until_unix_ms;
}

void LiveUser::FindForgets() {
  forgotten_until_unix_ms_ = kNeverForgotten;
  for (const PackedFacts* facts : {&recent_, &facts_}) {
    facts->ForEach([this](const FactView& fact) {
      if (fact.kind != EventType::FORGET) return;
      forgotten_until_unix_ms_ = std::max(forgotten_until_unix_ms_, fact.event_time_unix_ms);
    });
  }
}

void LiveUser::Bound(size_t max_facts) {
  if (facts_.size() <= max_facts) return;
  // They make room for a sixteenth at once, so that a user who stays at the limit does not cost a pass over all facts
  // for every event; a bot with decisions alone stays there too.
  const size_t roomy = max_facts - max_facts / 16;
  std::array<size_t, kKeepClasses> surplus{};  // First how many there are of each class, then how many of them go.
  facts_.ForEach([&surplus](const FactView& fact) { ++surplus[static_cast<size_t>(KeepClassOf(fact))]; });
  size_t size = facts_.size();
  for (size_t smallest = 0; smallest < kKeepClasses; ++smallest) {
    const size_t target = smallest < static_cast<size_t>(KeepClass::kForget) ? roomy : max_facts;
    surplus[smallest] = std::min(surplus[smallest], size - std::min(size, target));
    size -= surplus[smallest];
  }
  facts_.KeepIf([&](const FactView& fact) {
    size_t& left = surplus[static_cast<size_t>(KeepClassOf(fact))];
    if (left == 0) return true;
    --left;
    truncated_end_ = std::max(truncated_end_, Next(fact.offset));
    return false;
  });
  if (forgotten_until_unix_ms_ != kNeverForgotten) FindForgets();
}

bool LiveUser::PruneRecent(int64_t record_time_unix_ms) {
  const auto is_old = [=](const FactView& fact) {
    return record_time_unix_ms - fact.record_time_unix_ms > kRecentFactMs;
  };
  // Record times do not fall: from the first one that is young enough on all stay.
  const auto keep_young = [&](size_t surplus) {
    return [&, surplus, young = false](const FactView& fact) mutable {
      if (surplus > 0) {
        --surplus;
        return false;
      }
      return young = young || !is_old(fact);
    };
  };
  bool pruned = false;
  if (!impressions_.empty() && is_old(impressions_.Get().front())) pruned = impressions_.KeepIf(keep_young(0));
  if (recent_.empty() || (recent_.size() <= kRecentFacts && !is_old(recent_.front()))) return pruned;
  if (!recent_.KeepIf(keep_young(recent_.size() - std::min(recent_.size(), kRecentFacts)))) return pruned;
  if (forgotten_until_unix_ms_ != kNeverForgotten) FindForgets();
  return true;
}

bool LiveUser::Trim(Offset floor, int64_t record_time_unix_ms) {
  bool changed = recent_ids_.DropExpired(record_time_unix_ms);
  if (!facts_.empty() && facts_.front().offset < floor) {
    facts_.KeepIf([&](const FactView& fact) {
      if (fact.offset >= floor) return true;
      recent_.Append(fact);
      return false;
    });
    changed = true;
  }
  if (truncated() && truncated_end_ <= floor) {
    truncated_end_ = Offset{0};
    changed = true;
  }
  return PruneRecent(record_time_unix_ms) || changed;
}

LiveUser::Untrimmed LiveUser::untrimmed() const {
  Untrimmed limits;
  if (!facts_.empty()) limits.floor = facts_.front().offset;
  if (truncated()) limits.floor = std::min(limits.floor, Offset{Value(truncated_end_) - 1});
  if (recent_.size() > kRecentFacts) limits.floor = Offset{-1};
  for (const PackedFacts* facts : {&recent_, &impressions_.Get()}) {
    if (facts->empty()) continue;
    limits.record_time_unix_ms = std::min(limits.record_time_unix_ms, facts->front().record_time_unix_ms);
  }
  if (!recent_ids_.empty()) {
    limits.record_time_unix_ms = std::min(limits.record_time_unix_ms, recent_ids_.oldest_unix_ms());
  }
  return limits;
}

absl::Status LiveUser::Restore(const FactView& fact, absl::string_view field, PackedFacts* facts) {
  if (fact.kind == v1::EVENT_TYPE_UNSPECIFIED || fact.kind == v1::IMPRESSION) {
    return absl::InvalidArgumentError(
        absl::StrCat("speed view has a fact of no kind: field=", field, " offset=", Value(fact.offset)));
  }
  const bool in_order = facts->empty() || facts->last_offset() < fact.offset;
  if (Value(fact.offset) < 0 || !in_order) {
    return absl::InvalidArgumentError(
        absl::StrCat("speed view has facts out of order: field=", field, " offset=", Value(fact.offset)));
  }
  facts->Append(fact);
  if (fact.kind == EventType::FORGET) {
    forgotten_until_unix_ms_ = std::max(forgotten_until_unix_ms_, fact.event_time_unix_ms);
  }
  return absl::OkStatus();
}

absl::Status LiveUser::RestoreImpression(const FactView& fact) {
  const bool in_order = impressions_.empty() || impressions_.Get().last_offset() < fact.offset;
  if (fact.kind != v1::IMPRESSION || Value(fact.offset) < 0 || !in_order) {
    return absl::InvalidArgumentError(
        absl::StrCat("speed view has impressions that are none or out of order: offset=", Value(fact.offset)));
  }
  impressions_.Append(fact);
  return absl::OkStatus();
}

absl::Status LiveUser::FinishRestore(bool truncated, int64_t truncated_end) {
  if (!recent_.empty() && !facts_.empty() && recent_.last_offset() >= facts_.front().offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        "speed view has recent facts among the facts above the floor: offset=", Value(recent_.last_offset())));
  }
  if (truncated) {
    // Without the end it is not known which floor leaves the hole behind.
    truncated_end_ = truncated_end > 0 ? Offset{truncated_end} : kUnknownEnd;
  }
  return absl::OkStatus();
}

absl::StatusOr<LiveUser> LiveUser::FromProto(const v1::SpeedView& view) {
  LiveUser user;
  for (const v1::Fact& fact : view.recent()) {
    TRIBUTARY_RETURN_IF_ERROR(user.Restore(ViewOf(fact), "recent", &user.recent_));
  }
  for (const v1::Fact& fact : view.facts()) {
    TRIBUTARY_RETURN_IF_ERROR(user.Restore(ViewOf(fact), "facts", &user.facts_));
  }
  for (const v1::Fact& fact : view.impressions()) {
    TRIBUTARY_RETURN_IF_ERROR(user.RestoreImpression(ViewOf(fact)));
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
  TRIBUTARY_RETURN_IF_ERROR(user.FinishRestore(view.truncated(), view.truncated_end_offset()));
  return user;
}

bool LiveUser::ReadBytes(absl::string_view bytes) {
  // Put together where there is room, and then copied: so a user has just the memory needed, allocated once.
  thread_local PackedFacts facts_room;
  thread_local PackedFacts recent_room;
  facts_room.Clear();
  recent_room.Clear();
  wire::Reader reader(bytes);
  uint64_t number = 0;
  int64_t truncated_end = 0;
  bool truncated = false;
  absl::string_view content;
  absl::string_view hashes;
  absl::string_view times;
  while (!reader.done()) {
    char tag = 0;
    FactView fact;
    reader.ReadByte(&tag);
    switch (tag) {
      case wire::LengthTag(v1::SpeedView::kPositionFieldNumber):
        if (!reader.ReadText(&content) || !IsPosition(content)) return false;
        break;
      case wire::LengthTag(v1::SpeedView::kFactsFieldNumber):
        if (!reader.ReadText(&content) || !ReadFact(content, &fact) || !Restore(fact, "", &facts_room).ok()) {
          return false;
        }
        break;
      case wire::LengthTag(v1::SpeedView::kRecentFieldNumber):
        if (!reader.ReadText(&content) || !ReadFact(content, &fact) || !Restore(fact, "", &recent_room).ok()) {
          return false;
        }
        break;
      case wire::LengthTag(v1::SpeedView::kImpressionsFieldNumber):
        if (!reader.ReadText(&content) || !ReadFact(content, &fact) || !RestoreImpression(fact).ok()) return false;
        break;
      case wire::LengthTag(v1::SpeedView::kRecentIdHashesFieldNumber):
        if (!hashes.empty() || !reader.ReadText(&hashes)) return false;
        break;
      case wire::LengthTag(v1::SpeedView::kRecentIdRecordTimesUnixMsFieldNumber):
        if (!times.empty() || !reader.ReadText(&times)) return false;
        break;
      case wire::VarintTag(v1::SpeedView::kTruncatedFieldNumber):
        if (!reader.ReadVarint(&number)) return false;
        truncated = number != 0;
        break;
      case wire::VarintTag(v1::SpeedView::kTruncatedEndOffsetFieldNumber):
        if (!reader.ReadInt64(&truncated_end)) return false;
        break;
      default:
        return false;
    }
  }
  facts_ = facts_room;
  recent_ = recent_room;
  recent_ids_.Reserve(hashes.size() / sizeof(uint64_t));
  wire::Reader hash_reader(hashes);
  wire::Reader time_reader(times);
  for (int64_t last = std::numeric_limits<int64_t>::min(); !hash_reader.done();) {
    int64_t time = 0;
    if (!hash_reader.ReadFixed64(&number) || !time_reader.ReadInt64(&time) || time < last) return false;
    recent_ids_.Add(number, time);
    last = time;
  }
  return time_reader.done() && FinishRestore(truncated, truncated_end).ok();
}

absl::StatusOr<LiveUser> LiveUser::FromBytes(absl::string_view bytes) {
  if (LiveUser user; user.ReadBytes(bytes)) return user;
  v1::SpeedView view;
  if (!view.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("not a speed view");
  }
  return FromProto(view);
}

void LiveUser::ToProto(v1::SpeedView* view) const {
  std::string bytes;
  AppendBytes(&bytes);
  CHECK(view->MergeFromString(bytes)) << "what AppendBytes writes is a view";
}

void LiveUser::AppendBytes(std::string* bytes) const {
  facts_.ForEach([bytes](const FactView& fact) { WriteFact(v1::SpeedView::kFactsFieldNumber, fact, bytes); });
  recent_.ForEach([bytes](const FactView& fact) { WriteFact(v1::SpeedView::kRecentFieldNumber, fact, bytes); });
  if (!recent_ids_.empty()) {
    const size_t hashes_bytes = recent_ids_.size() * sizeof(uint64_t);
    size_t times_bytes = 0;
    recent_ids_.ForEach([&](uint64_t, int64_t time) { times_bytes += wire::VarintBytes(static_cast<uint64_t>(time)); });
    char* at = wire::Extend(
        bytes, wire::LengthBytes(hashes_bytes) + hashes_bytes + wire::LengthBytes(times_bytes) + times_bytes);
    at = wire::WriteLength(v1::SpeedView::kRecentIdHashesFieldNumber, hashes_bytes, at);
    recent_ids_.ForEach([&at](uint64_t hash, int64_t) { at = wire::WriteFixed64(hash, at); });
    at = wire::WriteLength(v1::SpeedView::kRecentIdRecordTimesUnixMsFieldNumber, times_bytes, at);
    recent_ids_.ForEach([&at](uint64_t, int64_t time) { at = wire::WriteVarint(static_cast<uint64_t>(time), at); });
  }
  if (truncated()) {
    const int64_t end = truncated_end_ == kUnknownEnd ? 0 : Value(truncated_end_);
    char* at = wire::Extend(bytes, IntBytes(1) + IntBytes(end));
    at = WriteInt(v1::SpeedView::kTruncatedFieldNumber, 1, at);
    WriteInt(v1::SpeedView::kTruncatedEndOffsetFieldNumber, end, at);
  }
  if (impressions_.empty()) return;
  impressions_.Get().ForEach(
      [bytes](const FactView& fact) { WriteFact(v1::SpeedView::kImpressionsFieldNumber, fact, bytes); });
}

}  // namespace tributary
