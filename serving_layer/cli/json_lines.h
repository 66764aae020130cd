#ifndef TRIBUTARY_SERVING_LAYER_CLI_JSON_LINES_H_
#define TRIBUTARY_SERVING_LAYER_CLI_JSON_LINES_H_

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"

namespace tributary::serving {

// Reads one proto3 JSON object. InvalidArgument: malformed, or a field that the message does not have, by name.
inline absl::Status ParseJson(absl::string_view text, google::protobuf::Message* message) {
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(text.data(), text.size()), message);
  return status.ok() ? absl::OkStatus()
                     : absl::InvalidArgumentError(absl::StrCat("JSON refused: ", std::string(status.message())));
}

// All messages of a file with one JSON object a line; `-` is standard input; empty lines count for nothing.
// NotFound names the path; InvalidArgument path and line.
template <typename Message>
absl::StatusOr<std::vector<Message>> ReadJsonLines(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) {
      return absl::NotFoundError(absl::StrCat("file cannot be read: path=", path));
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::vector<Message> messages;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (absl::StripAsciiWhitespace(line).empty()) {
      continue;
    }
    if (absl::Status status = ParseJson(line, &messages.emplace_back()); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(status.message(), ": path=", path, " line=", number));
    }
  }
  if (in.bad()) {
    return absl::DataLossError(absl::StrCat("file cannot be read to its end: path=", path));
  }
  return messages;
}

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_JSON_LINES_H_
