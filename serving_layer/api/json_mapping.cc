#include "serving_layer/api/json_mapping.h"

#include <memory>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/event/utf8.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

constexpr absl::string_view kPackage = "tributary.v1.";
constexpr int kMaxLines = 10'000;

std::unique_ptr<Message> NewMessage(const Descriptor* type) {
  return std::unique_ptr<Message>(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

absl::StatusOr<std::string> FromJson(const Descriptor* type, absl::string_view json) {
  if (!IsUtf8(json)) {
    return absl::InvalidArgumentError("request is not UTF-8");
  }
  const std::unique_ptr<Message> message = NewMessage(type);
  if (!json.empty()) {
    const auto status = google::protobuf::util::JsonStringToMessage(std::string(json), message.get());
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("request is not JSON of ", std::string(type->full_name()), ": ",
                                                     std::string(status.message().data(), status.message().size())));
    }
  }
  return message->SerializeAsString();
}

}  // namespace

absl::StatusOr<const MethodDescriptor*> FindMethod(absl::string_view service_and_method) {
  const std::vector<absl::string_view> parts = absl::StrSplit(service_and_method, absl::MaxSplits('/', 2));
  const MethodDescriptor* method = nullptr;
  if (parts.size() == 2) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        absl::StrCat(kPackage, absl::StripPrefix(parts[0], kPackage)));
    method = service == nullptr ? nullptr : service->FindMethodByName(std::string(parts[1]));
  }
  if (method == nullptr) {
    return absl::NotFoundError("no such method: POST /v1/{Service}/{Method}");
  }
  return method;
}

std::string GrpcPath(const MethodDescriptor& method) {
  return absl::StrCat("/", method.service()->full_name(), "/", method.name());
}

absl::StatusOr<std::vector<std::string>> RequestsFromJson(const MethodDescriptor& method, absl::string_view body) {
  std::vector<std::string> requests;
  if (!method.client_streaming()) {
    TRIBUTARY_ASSIGN_OR_RETURN(requests.emplace_back(), FromJson(method.input_type(), body));
    return requests;
  }
  int line = 0;
  for (const absl::string_view json : absl::StrSplit(body, '\n')) {
    ++line;
    if (absl::StripAsciiWhitespace(json).empty()) {
      continue;
    }
    if (requests.size() == kMaxLines) {
      return absl::InvalidArgumentError(absl::StrCat("request has more than ", kMaxLines, " lines"));
    }
    absl::StatusOr<std::string> request = FromJson(method.input_type(), json);
    if (!request.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", request.status().message()));
    }
    requests.push_back(*std::move(request));
  }
  return requests;
}

absl::StatusOr<std::string> ResponseToJson(const MethodDescriptor& method, absl::string_view response) {
  const std::unique_ptr<Message> message = NewMessage(method.output_type());
  std::string json;
  if (!message->ParseFromArray(response.data(), static_cast<int>(response.size())) ||
      !google::protobuf::util::MessageToJsonString(*message, &json).ok()) {
    return absl::InternalError(absl::StrCat("response is not valid: ", std::string(method.output_type()->full_name())));
  }
  return json;
}

std::string ErrorToJson(const absl::Status& status) {
  google::protobuf::StringValue message;
  message.set_value(IsUtf8(status.message()) ? std::string(status.message()) : absl::CHexEscape(status.message()));
  std::string quoted;
  (void)google::protobuf::util::MessageToJsonString(message, &quoted);
  return absl::StrCat("{\"code\":", static_cast<int>(status.code()), ",\"status\":\"",
                      absl::StatusCodeToString(status.code()), "\",\"message\":", quoted, "}");
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

}  // namespace tributary::serving
