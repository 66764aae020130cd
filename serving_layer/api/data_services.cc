#include "serving_layer/api/data_services.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "common/merge/rule_set.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/records.h"

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

// Partitioned by the key.
ProduceRecord RecordOf(const std::string& topic, const std::string& key, std::optional<std::string> value) {
  return {.topic = topic, .partition = std::nullopt, .key = key, .value = std::move(value), .headers = {}};
}

}  // namespace

grpc::ServerUnaryReactor* EventServiceImpl::Publish(grpc::CallbackServerContext* context,
                                                    const v1::PublishRequest* request, v1::PublishResponse* response) {
  const RpcCall call(publish_, context);
  if (!request->has_event()) {
    return call.Finish(absl::InvalidArgumentError("event is required"));
  }
  v1::Event event = request->event();
  const int64_t now_unix_ms = absl::ToUnixMillis(parts_.clock.Now());
  if (!event.has_event_time()) {
    event.mutable_event_time()->set_seconds(now_unix_ms / 1000);
    event.mutable_event_time()->set_nanos(static_cast<int32_t>(now_unix_ms % 1000 * 1000000));
  }
  const auto validated = ValidateEvent(event, now_unix_ms);
  if (const auto* rejection = std::get_if<Rejection>(&validated)) {
    return call.Finish(absl::InvalidArgumentError(
        rejection->field.empty() ? absl::StrCat("event: ", rejection->reason)
                                 : absl::StrCat("event.", rejection->field, ": ", rejection->reason)));
  }
  parts_.publisher.Send(
      RecordOf(parts_.topics.events, event.user_id(), event.SerializeAsString()),
      [call, response](absl::StatusOr<EventPosition> position) {
        if (position.ok()) {
          response->mutable_position()->set_partition(Value(position->partition));
          response->mutable_position()->set_offset(Value(position->offset));
          *response->mutable_token()->mutable_position() = response->position();
        }
        call.Finish(position.status());
      });
  return call.reactor();
}

grpc::ServerUnaryReactor* CatalogueServiceImpl::Write(const RpcCall& call, const absl::Status& valid,
                                                      ProduceRecord record) {
  if (!valid.ok()) {
    return call.Finish(valid);
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
  const RpcCall call(totals_, context);
  return call.Finish(parts_.recommender.Totals(*request, response));
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

}  // namespace tributary::serving
