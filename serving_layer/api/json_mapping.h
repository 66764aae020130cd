#ifndef TRIBUTARY_SERVING_LAYER_API_JSON_MAPPING_H_
#define TRIBUTARY_SERVING_LAYER_API_JSON_MAPPING_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class MethodDescriptor;
}

// Every rpc of proto/tributary/v1 as JSON over HTTP, by the descriptors of the services: nothing here knows any of them.
// All functions are pure. JSON is proto3's: names in lower camel case or as in the .proto files, int64 as strings, unknown
// fields refused.
namespace tributary::serving {

// `Service/Method`, with or without the package before the service. NotFound: there is none such.
absl::StatusOr<const google::protobuf::MethodDescriptor*> FindMethod(absl::string_view service_and_method);
// As gRPC names it.
std::string GrpcPath(const google::protobuf::MethodDescriptor& method);

// The request messages of a body, serialized: one, or for a client-streaming rpc one a line. An empty body is an empty
// message. InvalidArgument: not JSON of the message (the field is named where there is one), not UTF-8; the line, if there
// are lines.
absl::StatusOr<std::vector<std::string>> RequestsFromJson(const google::protobuf::MethodDescriptor& method,
                                                          absl::string_view body);
// One line. Internal: not a message of this rpc's response.
absl::StatusOr<std::string> ResponseToJson(const google::protobuf::MethodDescriptor& method, absl::string_view response);

// {"code": 3, "status": "INVALID_ARGUMENT", "message": "..."}.
std::string ErrorToJson(const absl::Status& status);
// 200, 400, 404 ...: by google/rpc/code.proto.
int HttpStatusOf(absl::StatusCode code);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_JSON_MAPPING_H_
