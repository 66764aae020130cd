#ifndef TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_
#define TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_

#include <string>

#include "serving_layer/api/rpc_call.h"
#include "tributary/v1/admin_service.grpc.pb.h"
#include "tributary/v1/analytics_service.grpc.pb.h"
#include "tributary/v1/catalogue_service.grpc.pb.h"

// Catalogue, analytics and administration. Operators' calls are answered under load too.
namespace tributary::serving {

// Writes go to the topics, reads come from memory.
class CatalogueServiceImpl final : public ServiceOf<v1::CatalogueService> {
 public:
  using ServiceOf::ServiceOf;

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

  RpcMetrics put_item_{parts_.metrics, "PutItem"};
  RpcMetrics get_item_{parts_.metrics, "GetItem"};
  RpcMetrics delete_item_{parts_.metrics, "DeleteItem"};
  RpcMetrics put_user_{parts_.metrics, "PutUser"};
  RpcMetrics delete_user_{parts_.metrics, "DeleteUser"};
  RpcMetrics put_rule_{parts_.metrics, "PutRule"};
  RpcMetrics list_rules_{parts_.metrics, "ListRules"};
  RpcMetrics delete_rule_{parts_.metrics, "DeleteRule"};
};

class AnalyticsServiceImpl final : public ServiceOf<v1::AnalyticsService> {
 public:
  using ServiceOf::ServiceOf;

  grpc::ServerUnaryReactor* Totals(grpc::CallbackServerContext* context, const v1::TotalsRequest* request,
                                   v1::TotalsResponse* response) override;
  grpc::ServerUnaryReactor* Windows(grpc::CallbackServerContext* context, const v1::WindowsRequest* request,
                                    v1::WindowsResponse* response) override;
  grpc::ServerUnaryReactor* ExperimentRates(grpc::CallbackServerContext* context,
                                            const v1::ExperimentRatesRequest* request,
                                            v1::ExperimentRatesResponse* response) override;

 private:
  RpcMetrics totals_{parts_.metrics, "Totals"};
  RpcMetrics windows_{parts_.metrics, "Windows"};
  RpcMetrics experiment_rates_{parts_.metrics, "ExperimentRates"};
};

class AdminServiceImpl final : public ServiceOf<v1::AdminService> {
 public:
  using ServiceOf::ServiceOf;

  grpc::ServerUnaryReactor* GetFreshness(grpc::CallbackServerContext* context, const v1::GetFreshnessRequest* request,
                                         v1::GetFreshnessResponse* response) override;
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context, const v1::ListSnapshotsRequest* request,
                                          v1::ListSnapshotsResponse* response) override;
  // librdkafka settings whose names speak of passwords, secrets or keys show `hidden`.
  grpc::ServerUnaryReactor* GetConfig(grpc::CallbackServerContext* context, const v1::GetConfigRequest* request,
                                      v1::GetConfigResponse* response) override;
  grpc::ServerUnaryReactor* ActivateSnapshot(grpc::CallbackServerContext* context,
                                             const v1::ActivateSnapshotRequest* request,
                                             v1::ActivateSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* RollbackSnapshot(grpc::CallbackServerContext* context,
                                             const v1::RollbackSnapshotRequest* request,
                                             v1::RollbackSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* StartCanary(grpc::CallbackServerContext* context, const v1::StartCanaryRequest* request,
                                        v1::StartCanaryResponse* response) override;
  grpc::ServerUnaryReactor* GetCanary(grpc::CallbackServerContext* context, const v1::GetCanaryRequest* request,
                                      v1::GetCanaryResponse* response) override;
  grpc::ServerUnaryReactor* StopCanary(grpc::CallbackServerContext* context, const v1::StopCanaryRequest* request,
                                       v1::StopCanaryResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;

 private:
  RpcMetrics get_freshness_{parts_.metrics, "GetFreshness"};
  RpcMetrics list_snapshots_{parts_.metrics, "ListSnapshots"};
  RpcMetrics get_config_{parts_.metrics, "GetConfig"};
  RpcMetrics activate_snapshot_{parts_.metrics, "ActivateSnapshot"};
  RpcMetrics rollback_snapshot_{parts_.metrics, "RollbackSnapshot"};
  RpcMetrics start_canary_{parts_.metrics, "StartCanary"};
  RpcMetrics get_canary_{parts_.metrics, "GetCanary"};
  RpcMetrics stop_canary_{parts_.metrics, "StopCanary"};
  RpcMetrics drain_{parts_.metrics, "Drain"};
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_DATA_SERVICES_H_
