#ifndef TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_
#define TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_

#include <string>

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tributary::serving {

// The codes of the two are equal by definition.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status()
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_
