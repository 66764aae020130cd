#ifndef TRIBUTARY_SERVING_LAYER_API_RPC_CALL_H_
#define TRIBUTARY_SERVING_LAYER_API_RPC_CALL_H_

#include <array>
#include <chrono>
#include <string>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "common/metrics/metrics.h"
#include "serving_layer/api/admission.h"
#include "serving_layer/api/grpc_server.h"
#include "serving_layer/api/grpc_status.h"

namespace tributary::serving {

// Counts the answers of one rpc by status code, and their times. Thread-safe, lock-free.
class RpcMetrics {
 public:
  RpcMetrics(MetricsRegistry& metrics, const std::string& rpc)
      : seconds_(metrics.AddHistogram("tributary_serving_request_seconds",
                                      "From a request's arrival to its answer, waits for freshness or the log included.",
                                      kBounds, {{"rpc", rpc}})) {
    for (size_t code = 0; code < answers_.size(); ++code) {
      answers_[code] = &metrics.AddCounter(
          "tributary_serving_requests_total", "Requests answered.",
          {{"rpc", rpc}, {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
    }
  }

  void Count(absl::StatusCode code, std::chrono::duration<double> took) {
    answers_[static_cast<size_t>(code) % answers_.size()]->Increment();
    seconds_.Observe(took.count());
  }

 private:
  // Seconds. A request may wait for 10 s.
  static constexpr std::array kBounds = {.00005, .0001, .00025, .0005, .001, .0025, .005, .01,
                                         .025,   .05,   .1,     .25,   .5,   1.,    2.5,  10.};

  Histogram& seconds_;
  std::array<Counter*, 17> answers_;
};

// For the answer to a request that was refused: `retry-after-ms` for people, `grpc-retry-pushback-ms` for gRPC's own retries.
void SayWhenToRetry(int64_t queue_time_ns, grpc::CallbackServerContext* context);

// One unary rpc, from its arrival to its answer: copy it to where the answer is given.
class RpcCall {
 public:
  RpcCall(RpcMetrics& metrics, grpc::CallbackServerContext* context)
      : metrics_(&metrics),
        context_(context),
        reactor_(context->DefaultReactor()),
        begun_(std::chrono::steady_clock::now()) {}

  // Whether the request is to be worked on; if it is not for long, the answer's metadata say when to try again.
  // DeadlineExceeded: nobody waits for it any more; ResourceExhausted: as of Admission.
  absl::Status Admitted(const Admission& admission) const {
    if (const gpr_timespec deadline = context_->raw_deadline();
        gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) != 0 &&
        gpr_time_cmp(deadline, gpr_now(deadline.clock_type)) <= 0) {
      return absl::DeadlineExceededError("the deadline passed before the request was worked on");
    }
    absl::Status status = admission.Admit(begun_.time_since_epoch().count());
    if (!status.ok()) {
      SayWhenToRetry(admission.queue_time_ns(begun_.time_since_epoch().count()), context_);
    }
    return status;
  }

  // What the rpc's method returns to gRPC.
  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  // Answers: once, with the response filled in before. Returns the reactor.
  grpc::ServerUnaryReactor* Finish(const absl::Status& status) const {
    metrics_->Count(status.code(), std::chrono::steady_clock::now() - begun_);
    reactor_->Finish(ToGrpc(status));
    return reactor_;
  }

 private:
  RpcMetrics* metrics_;
  grpc::CallbackServerContext* context_;
  grpc::ServerUnaryReactor* reactor_;
  std::chrono::steady_clock::time_point begun_;
};

// What the services have in common: Service is the generated class, as v1::EventService. A service has an RpcMetrics for
// each of its rpcs. Rpcs that are not built yet answer UNIMPLEMENTED by the generated base.
template <typename Service>
class ServiceOf : public Service::CallbackService {
 public:
  ServiceOf(const ServiceParts& parts, const Admission& admission) : parts_(parts), admission_(admission) {}

 protected:
  // The whole of an rpc that waits for nothing: `answer` fills the response and gives the status.
  template <typename Answer>
  grpc::ServerUnaryReactor* Serve(RpcMetrics& metrics, grpc::CallbackServerContext* context, Answer answer) {
    const RpcCall call(metrics, context);
    const absl::Status admitted = call.Admitted(admission_);
    return call.Finish(admitted.ok() ? answer() : admitted);
  }

  const ServiceParts parts_;
  const Admission& admission_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_RPC_CALL_H_
