#ifndef TRIBUTARY_SERVING_LAYER_API_WATCH_STREAM_H_
#define TRIBUTARY_SERVING_LAYER_API_WATCH_STREAM_H_

#include <chrono>
#include <memory>

#include <grpcpp/support/server_callback.h>

#include "serving_layer/api/rpc_call.h"
#include "serving_layer/requests/watches.h"

namespace tributary::serving {

// One Watch: a list at a time is on its way to the client. Deletes itself when gRPC is done with it.
class WatchStream final : public grpc::ServerWriteReactor<v1::WatchResponse> {
 public:
  // Borrows watches and metrics. A status that is not OK ends the stream with it at once.
  WatchStream(Watches& watches, RpcMetrics& metrics, const v1::RecommendRequest& request, absl::Status admitted);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // Outlives the stream while Watches holds it.
  class Link;

  Watches& watches_;
  RpcMetrics& metrics_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  const std::shared_ptr<Link> link_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_WATCH_STREAM_H_
