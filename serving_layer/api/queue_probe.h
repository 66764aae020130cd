#ifndef TRIBUTARY_SERVING_LAYER_API_QUEUE_PROBE_H_
#define TRIBUTARY_SERVING_LAYER_API_QUEUE_PROBE_H_

#include <atomic>
#include <memory>
#include <thread>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include "common/sync/mutex.h"
#include "serving_layer/api/admission.h"

namespace tributary::serving {

// Answers the probe, and UNIMPLEMENTED to every other method that no service has.
class ProbeService final : public grpc::CallbackGenericService {
 public:
  static constexpr char kMethod[] = "/tributary.Probe/Probe";
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;
};

// Sends a call through the server again and again, and tells Admission how long it took: 20 a second, one at a time.
class QueueProbe {
 public:
  QueueProbe(std::shared_ptr<grpc::Channel> channel, Admission& admission);
  // Ends the call under way.
  ~QueueProbe();

 private:
  void Run();

  const std::shared_ptr<grpc::Channel> channel_;
  Admission& admission_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* under_way_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_QUEUE_PROBE_H_
