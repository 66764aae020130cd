#ifndef TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_
#define TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_

#include <array>
#include <string>

#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "common/metrics/metrics.h"

namespace tributary::serving {

// The codes of the two are equal by definition.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status()
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

// Counts the answers of one rpc by status code. Thread-safe.
class RpcCounter {
 public:
  RpcCounter(MetricsRegistry& metrics, const std::string& rpc) {
    for (size_t code = 0; code < counters_.size(); ++code) {
      counters_[code] = &metrics.AddCounter(
          "tributary_serving_requests_total", "Requests answered.",
          {{"rpc", rpc}, {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
    }
  }

  // Ends the rpc with `status`.
  void Finish(grpc::ServerUnaryReactor* reactor, const absl::Status& status) {
    counters_[static_cast<size_t>(status.code()) % counters_.size()]->Increment();
    reactor->Finish(ToGrpc(status));
  }

 private:
  std::array<Counter*, 17> counters_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_GRPC_STATUS_H_
