#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wire_format_lite.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/event/event.h"
#include "common/event/event_fields.h"
#include "common/event/utf8.h"

namespace tributary {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr size_t kMaxReasonBytes = 256;

// What a look at the fields of `wire` says before it is parsed: the parser answers text that is not UTF-8 with a bare
// failure and a line in the log.
struct WireCheck {
  bool readable = false;
  const FieldDescriptor* not_utf8 = nullptr;  // The first field with such text; null: none.
};

WireCheck CheckWire(absl::string_view wire, const Descriptor& descriptor) {
  CodedInputStream input(reinterpret_cast<const uint8_t*>(wire.data()), static_cast<int>(wire.size()));
  while (const uint32_t tag = input.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&input, tag)) return {};
      continue;
    }
    uint32_t length = 0;
    if (!input.ReadVarint32(&length)) return {};
    const auto begin = static_cast<size_t>(input.CurrentPosition());
    if (length > wire.size() - begin || !input.Skip(static_cast<int>(length))) return {};
    const absl::string_view content = wire.substr(begin, length);
    const FieldDescriptor* field = descriptor.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr) continue;
    if (field->type() == FieldDescriptor::TYPE_STRING && !IsUtf8(content)) return {true, field};
    if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
      const WireCheck inner = CheckWire(content, *field->message_type());
      if (!inner.readable) return {};
      if (inner.not_utf8 != nullptr) return {true, field};
    }
  }
  return {static_cast<size_t>(input.CurrentPosition()) == wire.size(), nullptr};
}

std::string OneLine(absl::string_view text) {
  text = text.substr(0, text.find('\n'));
  size_t size = std::min(text.size(), kMaxReasonBytes);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  text = text.substr(0, size);
  return IsUtf8(text) ? absl::Utf8SafeCEscape(text) : absl::CEscape(text);
}

// Reads what json_util says. Its messages are `NAME: Cannot find field.`, `(PATH) NAME: Cannot find field.`,
// `(PATH): invalid value ...`, or tell of the syntax.
Rejection JsonRejection(absl::string_view message) {
  Rejection rejection{v1::MALFORMED, "", absl::StrCat("unreadable JSON: ", OneLine(message))};
  absl::string_view rest = message;
  absl::string_view path;
  if (absl::ConsumePrefix(&rest, "(")) {
    const size_t end = rest.find(')');
    if (end == absl::string_view::npos) return rejection;
    path = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    absl::ConsumePrefix(&rest, " ");
  }
  if (absl::ConsumeSuffix(&rest, ": Cannot find field.")) {
    rejection.field = OneLine(path.empty() ? std::string(rest) : absl::StrCat(path, ".", rest));
    rejection.reason = absl::StrCat("unknown field: field=", rejection.field);
  } else if (!path.empty()) {
    rejection.field = OneLine(path.substr(0, path.find('[')));
    if (path == "type") rejection.cause = v1::UNKNOWN_TYPE;
  }
  return rejection;
}

std::variant<Event, Rejection> ParseBinary(absl::string_view wire, int64_t record_time_unix_ms) {
  if (EventFields fields; ReadFields(wire, &fields)) return Validate(fields, record_time_unix_ms);
  const WireCheck check = CheckWire(wire, *v1::Event::descriptor());
  if (check.not_utf8 != nullptr) {
    return Rejection{v1::NOT_UTF8, check.not_utf8->name(),
                     absl::StrCat("field is not UTF-8: field=", check.not_utf8->name())};
  }
  thread_local v1::Event message;  // Keeps the capacity of its strings from record to record.
  if (!check.readable || !message.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) {
    return Rejection{v1::MALFORMED, "", absl::StrCat("unreadable protobuf: bytes=", wire.size())};
  }
  return ValidateEvent(message, record_time_unix_ms);
}

std::variant<Event, Rejection> ParseJson(absl::string_view json, int64_t record_time_unix_ms) {
  if (!IsUtf8(json)) return Rejection{v1::NOT_UTF8, "", "JSON is not UTF-8"};
  v1::Event message;
  const auto status = google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &message);
  if (!status.ok()) return JsonRejection({status.message().data(), status.message().size()});
  return ValidateEvent(message, record_time_unix_ms);
}

}  // namespace

std::variant<Event, Rejection> ParseEvent(absl::string_view value, int64_t record_time_unix_ms) {
  if (value.size() > kMaxEventBytes) {
    return Rejection{v1::OVERSIZED, "", absl::StrCat("record too long: bytes=", value.size(), " max=", kMaxEventBytes)};
  }
  if (value.empty()) return Rejection{v1::MALFORMED, "", "empty record"};
  return value.front() == '{' ? ParseJson(value, record_time_unix_ms) : ParseBinary(value, record_time_unix_ms);
}

}  // namespace tributary
