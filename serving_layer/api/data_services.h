#ifndef TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_
#define TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_

#include <string>

#include "serving_layer/api/grpc_server.h"
#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/admin_service.grpc.pb.h"
#include "tributary/v1/analytics_service.grpc.pb.h"
#include "tributary/v1/catalogue_service.grpc.pb.h"
#include "tributary/v1/event_service.grpc.pb.h"

// The services beside recommendations. Rpcs that are not built yet answer UNIMPLEMENTED by the generated bases.
namespace tributary::serving {

class EventServiceImpl final : public v1::EventService::CallbackService {
 public:
  explicit EventServiceImpl(const ServiceParts& parts) : parts_(parts), publish_(parts.metrics, "Publish") {}
  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;

 private:
  const ServiceParts parts_;
  RpcMetrics publish_;
};

// Writes go to the topics, reads come from memory.
class CatalogueServiceImpl final : public v1::CatalogueService::CallbackService {
 public:
  explicit CatalogueServiceImpl(const ServiceParts& parts)
      : parts_(parts),
        put_item_(parts.metrics, "PutItem"),
        get_item_(parts.metrics, "GetItem"),
        delete_item_(parts.metrics, "DeleteItem"),
        put_user_(parts.metrics, "PutUser"),
        delete_user_(parts.metrics, "DeleteUser"),
        put_rule_(parts.metrics, "PutRule"),
        list_rules_(parts.metrics, "ListRules"),
        delete_rule_(parts.metrics, "DeleteRule") {}

  grpc::ServerUnaryReactor* PutItem(grpc::CallbackServerContext* context, const v1::PutItemRequest* request,
                                    v1::PutItemResponse* response) override;
  grpc::ServerUnaryReactor* GetItem(grpc::CallbackServerContext* context, const v1::GetItemRequest* request,
                                    v1::GetItemResponse* response) override;
  grpc::ServerUnaryReactor* DeleteItem(grpc::CallbackServerContext* context, const v1::DeleteItemRequest* request,
                                       v1::DeleteItemResponse* response) override;
  grpc::ServerUnaryReactor* PutUser(grpc::CallbackServerContext* context, const v1::PutUserRequest* request,
                                    v1::PutUserResponse* response) override;
  grpc::ServerUnaryReactor* DeleteUser(grpc::CallbackServerContext* context, const v1::DeleteUserRequest* request,
                                       v1::DeleteUserResponse* response) override;
  grpc::ServerUnaryReactor* PutRule(grpc::CallbackServerContext* context, const v1::PutRuleRequest* request,
                                    v1::PutRuleResponse* response) override;
  grpc::ServerUnaryReactor* ListRules(grpc::CallbackServerContext* context, const v1::ListRulesRequest* request,
                                      v1::ListRulesResponse* response) override;
  grpc::ServerUnaryReactor* DeleteRule(grpc::CallbackServerContext* context, const v1::DeleteRuleRequest* request,
                                       v1::DeleteRuleResponse* response) override;

 private:
  // Writes the record when `valid`, else ends the rpc with it.
  grpc::ServerUnaryReactor* Write(const RpcCall& call, const absl::Status& valid, ProduceRecord record);

  const ServiceParts parts_;
  RpcMetrics put_item_;
  RpcMetrics get_item_;
  RpcMetrics delete_item_;
  RpcMetrics put_user_;
  RpcMetrics delete_user_;
  RpcMetrics put_rule_;
  RpcMetrics list_rules_;
  RpcMetrics delete_rule_;
};

class AnalyticsServiceImpl final : public v1::AnalyticsService::CallbackService {
 public:
  explicit AnalyticsServiceImpl(const ServiceParts& parts) : parts_(parts), totals_(parts.metrics, "Totals") {}
  grpc::ServerUnaryReactor* Totals(grpc::CallbackServerContext* context, const v1::TotalsRequest* request,
                                   v1::TotalsResponse* response) override;

 private:
  const ServiceParts parts_;
  RpcMetrics totals_;
};

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(const ServiceParts& parts)
      : parts_(parts),
        get_freshness_(parts.metrics, "GetFreshness"),
        list_snapshots_(parts.metrics, "ListSnapshots"),
        get_config_(parts.metrics, "GetConfig") {}
  grpc::ServerUnaryReactor* GetFreshness(grpc::CallbackServerContext* context, const v1::GetFreshnessRequest* request,
                                         v1::GetFreshnessResponse* response) override;
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context, const v1::ListSnapshotsRequest* request,
                                          v1::ListSnapshotsResponse* response) override;
  // librdkafka settings whose names speak of passwords, secrets or keys show `hidden`.
  grpc::ServerUnaryReactor* GetConfig(grpc::CallbackServerContext* context, const v1::GetConfigRequest* request,
                                      v1::GetConfigResponse* response) override;

 private:
  const ServiceParts parts_;
  RpcMetrics get_freshness_;
  RpcMetrics list_snapshots_;
  RpcMetrics get_config_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_
