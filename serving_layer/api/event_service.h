#ifndef TRIBUTARY_SERVING_LAYER_API_EVENT_SERVICE_H_
#define TRIBUTARY_SERVING_LAYER_API_EVENT_SERVICE_H_

#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/event_service.grpc.pb.h"

namespace tributary::serving {

class EventServiceImpl final : public ServiceOf<v1::EventService> {
 public:
  using ServiceOf::ServiceOf;

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;
  grpc::ServerReadReactor<v1::PublishStreamRequest>* PublishStream(grpc::CallbackServerContext* context,
                                                                   v1::PublishStreamResponse* response) override;
  grpc::ServerUnaryReactor* ForgetUser(grpc::CallbackServerContext* context, const v1::ForgetUserRequest* request,
                                       v1::ForgetUserResponse* response) override;
  grpc::ServerUnaryReactor* GetForgetReport(grpc::CallbackServerContext* context,
                                            const v1::GetForgetReportRequest* request,
                                            v1::GetForgetReportResponse* response) override;

 private:
  class Stream;

  RpcMetrics publish_{parts_.metrics, "Publish"};
  RpcMetrics publish_stream_{parts_.metrics, "PublishStream"};
  RpcMetrics forget_user_{parts_.metrics, "ForgetUser"};
  RpcMetrics get_forget_report_{parts_.metrics, "GetForgetReport"};
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_EVENT_SERVICE_H_
