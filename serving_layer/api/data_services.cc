#include "serving_layer/api/data_services.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/merge/rule_set.h"
#include "common/snapshot/canary.h"
#include "common/snapshot/gate_verdict.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/records.h"
#include "serving_layer/requests/published_event.h"

namespace tributary::serving {
namespace {

// Whether a librdkafka setting may hold a password, token or key.
bool IsSecret(absl::string_view name) {
  for (const absl::string_view word : {"password", "secret", "key", "jaas", "pem", "oauthbearer.config"}) {
    if (absl::StrContains(absl::AsciiStrToLower(name), word)) {
      return true;
    }
  }
  return false;
}

}  // namespace

grpc::ServerUnaryReactor* CatalogueServiceImpl::Write(const RpcCall& call, const absl::Status& valid,
                                                      ProduceRecord record) {
  if (const absl::Status refused = valid.ok() ? call.Admitted(admission_) : valid; !refused.ok()) {
    return call.Finish(refused);
  }
  parts_.publisher.Send(std::move(record),
                        [call](const absl::StatusOr<EventPosition>& position) { call.Finish(position.status()); });
  return call.reactor();
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::PutItem(grpc::CallbackServerContext* context,
                                                        const v1::PutItemRequest* request, v1::PutItemResponse*) {
  const v1::Item& item = request->item();
  return Write({put_item_, context}, ValidateItem(item),
               RecordOf(parts_.topics.items, item.item_id(), item.SerializeAsString()));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::DeleteItem(grpc::CallbackServerContext* context,
                                                           const v1::DeleteItemRequest* request,
                                                           v1::DeleteItemResponse*) {
  return Write({delete_item_, context}, ValidateId(request->item_id(), "item_id"),
               RecordOf(parts_.topics.items, request->item_id(), std::nullopt));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::PutUser(grpc::CallbackServerContext* context,
                                                        const v1::PutUserRequest* request, v1::PutUserResponse*) {
  const v1::UserRecord& user = request->user();
  return Write({put_user_, context}, ValidateUserRecord(user),
               RecordOf(parts_.topics.users, user.user_id(), user.SerializeAsString()));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::DeleteUser(grpc::CallbackServerContext* context,
                                                           const v1::DeleteUserRequest* request,
                                                           v1::DeleteUserResponse*) {
  return Write({delete_user_, context}, ValidateId(request->user_id(), "user_id"),
               RecordOf(parts_.topics.users, request->user_id(), std::nullopt));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::PutRule(grpc::CallbackServerContext* context,
                                                        const v1::PutRuleRequest* request, v1::PutRuleResponse*) {
  const v1::Rule& rule = request->rule();
  return Write({put_rule_, context}, ValidateRule(rule),
               RecordOf(parts_.topics.rules, rule.rule_id(), rule.SerializeAsString()));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::DeleteRule(grpc::CallbackServerContext* context,
                                                           const v1::DeleteRuleRequest* request,
                                                           v1::DeleteRuleResponse*) {
  return Write({delete_rule_, context}, ValidateId(request->rule_id(), "rule_id"),
               RecordOf(parts_.topics.rules, request->rule_id(), std::nullopt));
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::GetItem(grpc::CallbackServerContext* context,
                                                        const v1::GetItemRequest* request, v1::GetItemResponse* response) {
  const RpcCall call(get_item_, context);
  absl::Status status = ValidateId(request->item_id(), "item_id");
  if (status.ok()) {
    EpochGuard guard;
    absl::StatusOr<v1::Item> item = parts_.context.FindItem(request->item_id());
    status = item.status();
    if (item.ok()) {
      *response->mutable_item() = *std::move(item);
    }
  }
  return call.Finish(status);
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::ListRules(grpc::CallbackServerContext* context,
                                                          const v1::ListRulesRequest*, v1::ListRulesResponse* response) {
  const RpcCall call(list_rules_, context);
  {
    EpochGuard guard;
    for (const v1::Rule& rule : *parts_.context.context().rule_messages) {
      *response->add_rules() = rule;
    }
  }
  return call.Finish(absl::OkStatus());
}

grpc::ServerUnaryReactor* AnalyticsServiceImpl::Totals(grpc::CallbackServerContext* context,
                                                       const v1::TotalsRequest* request, v1::TotalsResponse* response) {
  return Serve(totals_, context, [&] { return parts_.recommender.Totals(*request, response); });
}

grpc::ServerUnaryReactor* AnalyticsServiceImpl::Windows(grpc::CallbackServerContext* context,
                                                        const v1::WindowsRequest* request,
                                                        v1::WindowsResponse* response) {
  return Serve(windows_, context, [&] { return parts_.recommender.Windows(*request, response); });
}

grpc::ServerUnaryReactor* AnalyticsServiceImpl::ExperimentRates(grpc::CallbackServerContext* context,
                                                                const v1::ExperimentRatesRequest* request,
                                                                v1::ExperimentRatesResponse* response) {
  return Serve(experiment_rates_, context, [&] { return parts_.recommender.ExperimentRates(*request, response); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::GetFreshness(grpc::CallbackServerContext* context,
                                                         const v1::GetFreshnessRequest*,
                                                         v1::GetFreshnessResponse* response) {
  const RpcCall call(get_freshness_, context);
  parts_.recommender.GetFreshness(response);
  return call.Finish(absl::OkStatus());
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListSnapshots(grpc::CallbackServerContext* context,
                                                          const v1::ListSnapshotsRequest*,
                                                          v1::ListSnapshotsResponse* response) {
  const RpcCall call(list_snapshots_, context);
  absl::StatusOr<v1::ListSnapshotsResponse> snapshots = parts_.snapshots.List();
  if (snapshots.ok()) {
    *response = *std::move(snapshots);
  }
  return call.Finish(snapshots.status());
}

grpc::ServerUnaryReactor* AdminServiceImpl::GetConfig(grpc::CallbackServerContext* context, const v1::GetConfigRequest*,
                                                      v1::GetConfigResponse* response) {
  const RpcCall call(get_config_, context);
  *response->mutable_config() = parts_.config;
  for (auto& [name, value] : *response->mutable_config()->mutable_kafka()->mutable_client()) {
    if (IsSecret(name)) {
      value = "hidden";
    }
  }
  return call.Finish(absl::OkStatus());
}

grpc::ServerUnaryReactor* AdminServiceImpl::ActivateSnapshot(grpc::CallbackServerContext* context,
                                                             const v1::ActivateSnapshotRequest* request,
                                                             v1::ActivateSnapshotResponse* response) {
  const RpcCall call(activate_snapshot_, context);
  if (request->generation() <= 0) {
    return call.Finish(absl::InvalidArgumentError("generation must be > 0"));
  }
  SnapshotStore store(parts_.config.storage().snapshots_dir());
  const absl::StatusOr<Generation> before = store.Current();
  response->set_previous_generation(before.ok() ? Value(*before) : 0);
  return call.Finish(store.Activate(Generation{request->generation()}));
}

grpc::ServerUnaryReactor* AdminServiceImpl::RollbackSnapshot(grpc::CallbackServerContext* context,
                                                             const v1::RollbackSnapshotRequest*,
                                                             v1::RollbackSnapshotResponse* response) {
  const RpcCall call(rollback_snapshot_, context);
  return call.Finish([&]() -> absl::Status {
    SnapshotStore store(parts_.config.storage().snapshots_dir());
    TRIBUTARY_ASSIGN_OR_RETURN(const Generation current, store.Current());
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store.List());
    const std::optional<Generation> target = RollbackTarget(store.dir(), manifests, current);
    if (!target) {
      return absl::NotFoundError(absl::StrCat("no snapshot to roll back to: current=", Value(current)));
    }
    response->set_generation(Value(*target));
    response->set_previous_generation(Value(current));
    return store.Activate(*target);
  }());
}

grpc::ServerUnaryReactor* AdminServiceImpl::StartCanary(grpc::CallbackServerContext* context,
                                                        const v1::StartCanaryRequest* request,
                                                        v1::StartCanaryResponse* response) {
  const RpcCall call(start_canary_, context);
  if (request->generation() <= 0) {
    return call.Finish(absl::InvalidArgumentError("generation must be > 0"));
  }
  if (!(request->percent() >= 0 && request->percent() <= 100)) {
    return call.Finish(absl::InvalidArgumentError("percent must be 0 to 100"));
  }
  v1::Canary canary;
  canary.set_generation(request->generation());
  canary.set_percent(request->percent());
  absl::StatusOr<v1::Canary> started = parts_.snapshots.StartCanary(std::move(canary));
  if (started.ok()) {
    *response->mutable_canary() = *std::move(started);
  }
  return call.Finish(started.status());
}

grpc::ServerUnaryReactor* AdminServiceImpl::GetCanary(grpc::CallbackServerContext* context, const v1::GetCanaryRequest*,
                                                      v1::GetCanaryResponse* response) {
  const RpcCall call(get_canary_, context);
  *response = parts_.snapshots.Canary();
  return call.Finish(absl::OkStatus());
}

grpc::ServerUnaryReactor* AdminServiceImpl::StopCanary(grpc::CallbackServerContext* context, const v1::StopCanaryRequest*,
                                                       v1::StopCanaryResponse* response) {
  const RpcCall call(stop_canary_, context);
  const SnapshotStore store(parts_.config.storage().snapshots_dir());
  if (absl::StatusOr<v1::Canary> canary = ReadCanary(store); canary.ok()) {
    *response->mutable_stopped() = *std::move(canary);
  }
  return call.Finish(tributary::StopCanary(store));
}

grpc::ServerUnaryReactor* AdminServiceImpl::Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                                                  v1::DrainResponse* response) {
  const RpcCall call(drain_, context);
  parts_.drain(!request->resume());
  // What is answered at once is never under way for long.
  response->set_requests_under_way(static_cast<int64_t>(parts_.waits.size() + parts_.watches.size()) +
                                   parts_.publisher.under_way());
  return call.Finish(absl::OkStatus());
}

}  // namespace tributary::serving
