#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "batch_layer/import/record_reader.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kMaxLineBytes = 1024 * 1024;
constexpr double kMaxExactInteger = 9007199254740992;   // 2^53.

// Why `value` cannot be a column's value; empty: it can, and `text` has it.
std::string ToText(const google::protobuf::Value& value, std::string* text) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStringValue:
      *text = value.string_value();
      return "";
    case google::protobuf::Value::kNumberValue:
      if (std::trunc(value.number_value()) == value.number_value()) {
        if (std::abs(value.number_value()) >= kMaxExactInteger) {
          return "is a whole number of 2^53 or more: write it as a string";
        }
        *text = absl::StrCat(static_cast<int64_t>(value.number_value()));
      } else {
        // 17 digits carry any double; take fewer when they do too.
        for (int digits = 15; digits <= 17; ++digits) {
          char buffer[40];
          std::snprintf(buffer, sizeof(buffer), "%.*g", digits, value.number_value());
          *text = buffer;
          if (std::strtod(buffer, nullptr) == value.number_value()) {
            break;
          }
        }
      }
      return "";
    case google::protobuf::Value::kBoolValue:
      *text = value.bool_value() ? "true" : "false";
      return "";
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      text->clear();
      return "";
    case google::protobuf::Value::kStructValue:
    case google::protobuf::Value::kListValue:
      break;
  }
  return "is a list or an object";
}

class JsonLinesPass {
 public:
  JsonLinesPass(absl::Span<const std::string> columns, const RowVisitor& visitor)
      : columns_(columns), visitor_(visitor), texts_(columns.size()), values_(columns.size()) {}

  // A line without its line break; `whole_bytes`: its length when only the front of it was kept.
  absl::Status Visit(absl::string_view line, size_t whole_bytes) {
    ++line_;
    absl::ConsumeSuffix(&line, "\r");
    if (line.find_first_not_of(" \t") == absl::string_view::npos) {
      return absl::OkStatus();
    }
    if (whole_bytes > kMaxLineBytes) {
      return Unreadable(absl::StrCat("line is too long: bytes=", whole_bytes, " limit=", kMaxLineBytes), line.substr(0, 1024));
    }
    google::protobuf::Struct object;
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        google::protobuf::StringPiece(line.data(), line.size()), &object);
    if (!parsed.ok()) {
      return Unreadable("line is no JSON object", line);
    }
    for (size_t i = 0; i < columns_.size(); ++i) {
      const auto field = object.fields().find(columns_[i]);
      texts_[i].clear();
      if (field != object.fields().end()) {
        if (const std::string problem = ToText(field->second, &texts_[i]); !problem.empty()) {
          return Unreadable(absl::StrCat(columns_[i], " ", problem), line);
        }
      }
      values_[i] = texts_[i];
    }
    return visitor_.row({line_, values_, [line] { return std::string(line); }});
  }

 private:
  absl::Status Unreadable(std::string reason, absl::string_view raw) {
    return visitor_.unreadable({line_, std::move(reason), std::string(raw)});
  }

  const absl::Span<const std::string> columns_;
  const RowVisitor& visitor_;
  std::vector<std::string> texts_;
  std::vector<absl::string_view> values_;
  int64_t line_ = 0;
};

}  // namespace

absl::Status ReadJsonLines(ByteSource& source, absl::Span<const std::string> columns, const RowVisitor& visitor) {
  JsonLinesPass pass(columns, visitor);
  std::vector<char> buffer(kReadBytes);
  std::string pending;          // The front of a line that goes on in the next buffer, as far as the limit.
  size_t pending_bytes = 0;     // All of it.
  for (;;) {
    TRIBUTARY_ASSIGN_OR_RETURN(const size_t read, source.Read(absl::MakeSpan(buffer)));
    if (read == 0) {
      break;
    }
    absl::string_view rest(buffer.data(), read);
    for (size_t end = rest.find('\n'); end != absl::string_view::npos; end = rest.find('\n')) {
      if (pending_bytes == 0) {
        TRIBUTARY_RETURN_IF_ERROR(pass.Visit(rest.substr(0, end), end));
      } else {
        absl::StrAppend(&pending, rest.substr(0, std::min(end, kMaxLineBytes)));
        TRIBUTARY_RETURN_IF_ERROR(pass.Visit(pending, pending_bytes + end));
        pending.clear();
        pending_bytes = 0;
      }
      rest.remove_prefix(end + 1);
    }
    if (pending.size() <= kMaxLineBytes) {
      absl::StrAppend(&pending, rest);
    }
    pending_bytes += rest.size();
  }
  return pending_bytes == 0 ? absl::OkStatus() : pass.Visit(pending, pending_bytes);
}

}  // namespace tributary::batch
