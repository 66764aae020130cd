#include "batch_layer/import/reject_file.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/event/utf8.h"
#include "glog/logging.h"
#include "tributary/v1/import.pb.h"

namespace tributary::batch {

absl::Status RejectFile::Add(int64_t line, absl::string_view reason, absl::string_view raw) {
  if (!file_.is_open()) {
    file_.open(path_, std::ios::trunc);
  }
  v1::ImportReject row;
  row.set_line(line);
  // A reason may quote the row.
  row.set_reason(IsUtf8(reason) ? std::string(reason) : absl::CHexEscape(reason));
  if (IsUtf8(raw)) {
    row.set_raw(std::string(raw));
  } else {
    row.set_raw_bytes(std::string(raw));
  }
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  const auto printed = google::protobuf::util::MessageToJsonString(row, &json, options);
  CHECK(printed.ok()) << printed.message().ToString();
  file_ << json << '\n';
  ++rows_;
  return file_.good() ? absl::OkStatus() : Failed();
}

absl::Status RejectFile::Close() {
  if (file_.is_open()) {
    file_.close();
    if (file_.fail()) {
      return Failed();
    }
  }
  return absl::OkStatus();
}

absl::Status RejectFile::Failed() const {
  return absl::UnavailableError(absl::StrCat("reject file cannot be written: path=", path_));
}

}  // namespace tributary::batch
