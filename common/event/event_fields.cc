#include "common/event/event_fields.h"

#include <cstring>

#include "common/event/utf8.h"
#include "common/wire/wire.h"

namespace tributary {
namespace {

using wire::Fixed64Tag;
using wire::LengthTag;
using wire::VarintTag;

bool ReadText(wire::Reader& reader, absl::string_view* text) {
  return reader.ReadText(text) && (IsPlainText(*text) || IsUtf8(*text));
}

bool ReadDouble(wire::Reader& reader, std::optional<double>* value) {
  uint64_t bits = 0;
  if (!reader.ReadFixed64(&bits)) return false;
  std::memcpy(&value->emplace(), &bits, sizeof(bits));
  return true;
}

bool ReadTime(wire::Reader& reader, EventFields* fields) {
  absl::string_view bytes;
  // A second one would be merged with the first.
  if (fields->has_event_time || !reader.ReadText(&bytes)) return false;
  fields->has_event_time = true;
  wire::Reader time(bytes);
  for (char tag = 0; !time.done();) {
    uint64_t value = 0;
    if (!time.ReadByte(&tag) || !time.ReadVarint(&value)) return false;
    if (tag == VarintTag(google::protobuf::Timestamp::kSecondsFieldNumber)) {
      fields->event_time_seconds = static_cast<int64_t>(value);
    } else if (tag == VarintTag(google::protobuf::Timestamp::kNanosFieldNumber)) {
      fields->event_time_nanos = static_cast<int32_t>(value);
    } else {
      return false;
    }
  }
  return true;
}

bool ReadAttribute(wire::Reader& reader, EventFields* fields) {
  absl::string_view bytes;
  if (!reader.ReadText(&bytes)) return false;
  wire::Reader entry(bytes);
  char tag = 0;
  std::pair<absl::string_view, absl::string_view> attribute;
  if (!entry.ReadByte(&tag) || tag != LengthTag(1) || !ReadText(entry, &attribute.first)) return false;
  if (!entry.ReadByte(&tag) || tag != LengthTag(2) || !ReadText(entry, &attribute.second)) return false;
  if (!entry.done() || fields->attributes.size() >= kMaxAttributes) return false;
  for (const auto& [key, value] : fields->attributes) {
    if (key == attribute.first) return false;
  }
  fields->attributes.push_back(attribute);
  return true;
}

}  // namespace

EventFields FieldsOf(const v1::Event& message) {
  EventFields fields;
  fields.user_id = message.user_id();
  fields.type = message.type();
  fields.has_event_time = message.has_event_time();
  fields.event_time_seconds = message.event_time().seconds();
  fields.event_time_nanos = message.event_time().nanos();
  fields.item_id = message.item_id();
  fields.page = message.page();
  fields.event_id = message.event_id();
  fields.session_id = message.session_id();
  if (message.has_value()) fields.value = message.value();
  if (message.has_quantity()) fields.quantity = message.quantity();
  fields.query = message.query();
  fields.category = message.category();
  fields.attributes.assign(message.attributes().begin(), message.attributes().end());
  fields.anonymous = message.anonymous();
  fields.experiment_bucket = message.experiment_bucket();
  return fields;
}

bool ReadFields(absl::string_view bytes, EventFields* fields) {
  wire::Reader reader(bytes);
  bool ok = true;
  while (ok && !reader.done()) {
    char tag = 0;
    uint64_t number = 0;
    reader.ReadByte(&tag);
    switch (tag) {
      case LengthTag(v1::Event::kUserIdFieldNumber):
        ok = ReadText(reader, &fields->user_id);
        break;
      case VarintTag(v1::Event::kTypeFieldNumber):
        ok = reader.ReadVarint(&number);
        fields->type = static_cast<int32_t>(number);
        break;
      case LengthTag(v1::Event::kEventTimeFieldNumber):
        ok = ReadTime(reader, fields);
        break;
      case LengthTag(v1::Event::kItemIdFieldNumber):
        ok = ReadText(reader, &fields->item_id);
        break;
      case LengthTag(v1::Event::kPageFieldNumber):
        ok = ReadText(reader, &fields->page);
        break;
      case LengthTag(v1::Event::kEventIdFieldNumber):
        ok = ReadText(reader, &fields->event_id);
        break;
      case LengthTag(v1::Event::kSessionIdFieldNumber):
        ok = ReadText(reader, &fields->session_id);
        break;
      case Fixed64Tag(v1::Event::kValueFieldNumber):
        ok = ReadDouble(reader, &fields->value);
        break;
      case Fixed64Tag(v1::Event::kQuantityFieldNumber):
        ok = ReadDouble(reader, &fields->quantity);
        break;
      case LengthTag(v1::Event::kQueryFieldNumber):
        ok = ReadText(reader, &fields->query);
        break;
      case LengthTag(v1::Event::kCategoryFieldNumber):
        ok = ReadText(reader, &fields->category);
        break;
      case LengthTag(v1::Event::kAttributesFieldNumber):
        ok = ReadAttribute(reader, fields);
        break;
      case VarintTag(v1::Event::kAnonymousFieldNumber):
        ok = reader.ReadVarint(&number);
        fields->anonymous = number != 0;
        break;
      case LengthTag(v1::Event::kExperimentBucketFieldNumber):
        ok = ReadText(reader, &fields->experiment_bucket);
        break;
      default:
        return false;
    }
  }
  return ok;
}

}  // namespace tributary
