#include "common/counts/counts.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/wire/wire.h"

namespace tributary {
namespace {

constexpr int64_t kQuarterHourMs = 15LL * 60 * 1000;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? kMin : kMax;
}

int64_t SaturatingSubtract(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return a < 0 ? kMin : kMax;
}

const std::string* StoreOf(const Event& event) {
  for (const auto& [key, value] : event.attributes) {
    if (key == "store") return &value;
  }
  return nullptr;
}

}  // namespace

CountAmounts& CountAmounts::operator+=(const CountAmounts& other) {
  events = SaturatingAdd(events, other.events);
  quantity_micros = SaturatingAdd(quantity_micros, other.quantity_micros);
  value_micros = SaturatingAdd(value_micros, other.value_micros);
  return *this;
}

CountAmounts& CountAmounts::operator-=(const CountAmounts& other) {
  events = SaturatingSubtract(events, other.events);
  quantity_micros = SaturatingSubtract(quantity_micros, other.quantity_micros);
  value_micros = SaturatingSubtract(value_micros, other.value_micros);
  return *this;
}

void ForEachCount(const Event& event, absl::FunctionRef<void(const CountKeyView&, const CountAmounts&)> visit) {
  const CountAmounts amounts{1, event.quantity_micros, event.value_micros};
  visit({v1::OVERALL, "", event.type}, amounts);
  if (!event.item_id.empty()) visit({v1::BY_ITEM, event.item_id, event.type}, amounts);
  if (!event.page.empty()) visit({v1::BY_PAGE, event.page, event.type}, amounts);
  if (!event.category.empty()) visit({v1::BY_CATEGORY, event.category, event.type}, amounts);
  const std::string* store = StoreOf(event);
  if (store != nullptr && !store->empty()) visit({v1::BY_STORE, *store, event.type}, amounts);
  if (!event.experiment_bucket.empty()) visit({v1::BY_BUCKET, event.experiment_bucket, event.type}, amounts);
}

int64_t QuarterHour(int64_t event_time_unix_ms) {
  const int64_t quotient = event_time_unix_ms / kQuarterHourMs;
  return event_time_unix_ms % kQuarterHourMs < 0 ? quotient - 1 : quotient;
}

Offset SegmentStart(Offset offset, int64_t segment_size) { return Offset{Value(offset) & ~(segment_size - 1)}; }

void SegmentCounts::Add(const Event& event) {
  const int64_t quarter_hour = QuarterHour(event.event_time_unix_ms);
  ForEachCount(event, [&](const CountKeyView& key, const CountAmounts& amounts) {
    deltas_[{CountKey{key.measure, std::string(key.key), key.type}, quarter_hour}] += amounts;
  });
}

CountAmounts SegmentCounts::Total(const CountKey& key) const {
  CountAmounts total;
  for (auto delta = deltas_.lower_bound({key, kMin}); delta != deltas_.end() && delta->first.first == key; ++delta) {
    total += delta->second;
  }
  return total;
}

void SegmentCounts::ForEachQuarter(const CountKey& key, int64_t first, int64_t last,
                                   absl::FunctionRef<void(int64_t, const CountAmounts&)> visit) const {
  for (auto delta = deltas_.lower_bound({key, first});
       delta != deltas_.end() && delta->first.first == key && delta->first.second <= last; ++delta) {
    visit(delta->first.second, delta->second);
  }
}

void SegmentCounts::ForEach(const std::function<void(const CountKey&, int64_t, const CountAmounts&)>& visit) const {
  for (const auto& [slot, amounts] : deltas_) visit(slot.first, slot.second, amounts);
}

absl::StatusOr<SegmentCounts> SegmentCounts::FromProto(const v1::LiveCounts& message) {
  SegmentCounts counts;
  int index = 0;
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("live counts ", what, ": segment_start=", message.segment_start(), " index=", index));
  };
  for (const v1::CountDelta& delta : message.deltas()) {
    if (delta.measure() == v1::MEASURE_UNSPECIFIED || delta.type() == v1::EVENT_TYPE_UNSPECIFIED) {
      return refuse("have a delta without measure or type");
    }
    if (delta.events() < 0 || delta.quantity_micros() < 0 || delta.value_micros() < 0) {
      return refuse("have a negative amount");
    }
    std::pair<CountKey, int64_t> slot{{delta.measure(), delta.key(), delta.type()}, delta.quarter_hour()};
    if (!counts.deltas_.empty() && counts.deltas_.rbegin()->first >= slot) return refuse("are not sorted");
    counts.deltas_.emplace_hint(counts.deltas_.end(), std::move(slot),
                                CountAmounts{delta.events(), delta.quantity_micros(), delta.value_micros()});
    ++index;
  }
  return counts;
}

void SegmentCounts::ToProto(v1::LiveCounts* message) const {
  message->clear_deltas();
  for (const auto& [slot, amounts] : deltas_) {
    v1::CountDelta* delta = message->add_deltas();
    delta->set_measure(slot.first.measure);
    delta->set_key(slot.first.key);
    delta->set_type(slot.first.type);
    delta->set_quarter_hour(slot.second);
    delta->set_events(amounts.events);
    delta->set_quantity_micros(amounts.quantity_micros);
    delta->set_value_micros(amounts.value_micros);
  }
}

void SegmentTally::Add(const Event& event) {
  const int64_t quarter_hour = QuarterHour(event.event_time_unix_ms);
  ForEachCount(event,
               [&](const CountKeyView& key, const CountAmounts& amounts) { Append(key, quarter_hour, amounts); });
}

void SegmentTally::Append(const CountKeyView& key, int64_t quarter_hour, const CountAmounts& amounts) {
  uint64_t begins = 0;
  for (size_t i = 0; i < sizeof(begins); ++i) {
    begins = begins << 8 | (i < key.key.size() ? static_cast<uint8_t>(key.key[i]) : 0);
  }
  notes_.push_back({.key_begins = begins,
                    .key_at = static_cast<uint32_t>(keys_.size()),
                    .key_bytes = static_cast<uint32_t>(key.key.size()),
                    .measure = key.measure,
                    .type = key.type,
                    .quarter_hour = quarter_hour,
                    .amounts = amounts});
  keys_.append(key.key.data(), key.key.size());
}

bool SegmentTally::IsBefore(const Note& a, const Note& b) const {
  if (a.measure != b.measure) return a.measure < b.measure;
  if (a.key_begins != b.key_begins) return a.key_begins < b.key_begins;
  if (const int order = KeyOf(a).compare(KeyOf(b)); order != 0) return order < 0;
  return std::tie(a.type, a.quarter_hour) < std::tie(b.type, b.quarter_hour);
}

void SegmentTally::AddUp() {
  std::sort(notes_.begin(), notes_.end(), [this](const Note& a, const Note& b) { return IsBefore(a, b); });
  size_t kept = 0;
  for (size_t i = 1; i < notes_.size(); ++i) {
    if (IsBefore(notes_[kept], notes_[i])) {
      notes_[++kept] = notes_[i];
    } else {
      notes_[kept].amounts += notes_[i].amounts;
    }
  }
  if (!notes_.empty()) notes_.resize(kept + 1);
}

absl::StatusOr<SegmentTally> SegmentTally::FromProto(const v1::LiveCounts& message) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SegmentCounts counts, SegmentCounts::FromProto(message));
  SegmentTally tally;
  counts.ForEach([&tally](const CountKey& key, int64_t quarter_hour, const CountAmounts& amounts) {
    tally.Append({key.measure, key.key, key.type}, quarter_hour, amounts);
  });
  return tally;
}

void SegmentTally::AppendBytes(std::string* bytes) {
  AddUp();
  for (const Note& note : notes_) {
    const absl::string_view key = KeyOf(note);
    const size_t size = wire::IntBytes(note.measure) + wire::TextBytes(key) + wire::IntBytes(note.type) +
                        wire::IntBytes(note.quarter_hour) + wire::IntBytes(note.amounts.events) +
                        wire::IntBytes(note.amounts.quantity_micros) + wire::IntBytes(note.amounts.value_micros);
    char* at = wire::Extend(bytes, wire::LengthBytes(size) + size);
    at = wire::WriteLength(v1::LiveCounts::kDeltasFieldNumber, size, at);
    at = wire::WriteInt(v1::CountDelta::kMeasureFieldNumber, note.measure, at);
    at = wire::WriteText(v1::CountDelta::kKeyFieldNumber, key, at);
    at = wire::WriteInt(v1::CountDelta::kTypeFieldNumber, note.type, at);
    at = wire::WriteInt(v1::CountDelta::kQuarterHourFieldNumber, note.quarter_hour, at);
    at = wire::WriteInt(v1::CountDelta::kEventsFieldNumber, note.amounts.events, at);
    at = wire::WriteInt(v1::CountDelta::kQuantityMicrosFieldNumber, note.amounts.quantity_micros, at);
    wire::WriteInt(v1::CountDelta::kValueMicrosFieldNumber, note.amounts.value_micros, at);
  }
}

CountAmounts LiveContribution(const LiveSegment& segment, int64_t segment_size, Offset watermark,
                              const SegmentCounts& cut, const CountKey& key) {
  if (segment.counts == nullptr || Value(segment.start) + segment_size <= Value(watermark)) return {};
  if (watermark <= segment.start) return segment.counts->Total(key);
  if (segment.applied < watermark) return {};
  CountAmounts amounts = segment.counts->Total(key);
  amounts -= cut.Total(key);
  return amounts;
}

}  // namespace tributary
