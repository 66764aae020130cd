#include "serving_layer/api/grpc_server.h"

#include <chrono>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "serving_layer/api/admission.h"
#include "serving_layer/api/data_services.h"
#include "serving_layer/api/event_service.h"
#include "serving_layer/api/http_server.h"
#include "serving_layer/api/queue_probe.h"
#include "serving_layer/api/recommendation_service.h"

namespace tributary::serving {
namespace {

// A request is small; what is longer is refused before it is read.
constexpr int kMaxRequestBytes = 1 << 20;

}  // namespace

struct GrpcServer::Impl {
  explicit Impl(const ServiceParts& parts)
      : watches(parts.watches),
        admission(absl::Milliseconds(parts.config.serving().max_queue_ms())),
        recommendation(parts, admission),
        event(parts, admission),
        catalogue(parts, admission),
        analytics(parts, admission),
        admin(parts, admission) {}

  Watches& watches;
  Admission admission;
  RecommendationServiceImpl recommendation;
  EventServiceImpl event;
  CatalogueServiceImpl catalogue;
  AnalyticsServiceImpl analytics;
  AdminServiceImpl admin;
  ProbeService probe_service;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<QueueProbe> probe;
  std::unique_ptr<HttpServer> http;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const std::string& address, const ServiceParts& parts) {
  auto impl = std::make_unique<Impl>(parts);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &impl->port);
  // Two servers on one port would share its clients by chance.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsOfConnection);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.RegisterService(&impl->recommendation);
  builder.RegisterService(&impl->event);
  builder.RegisterService(&impl->catalogue);
  builder.RegisterService(&impl->analytics);
  builder.RegisterService(&impl->admin);
  builder.RegisterCallbackGenericService(&impl->probe_service);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || impl->port == 0) {
    return absl::UnavailableError(absl::StrCat("listen address cannot be bound: address=", address));
  }
  impl->probe = std::make_unique<QueueProbe>(impl->server->InProcessChannel({}), impl->admission);
  if (const v1::ServingConfig& serving = parts.config.serving(); !serving.http_address().empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> http =
        HttpServer::Start({.address = serving.http_address(), .connections = serving.http_connections()},
                          impl->server->InProcessChannel({}));
    if (!http.ok()) {
      impl->probe.reset();
      return http.status();
    }
    impl->http = *std::move(http);
  }
  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(impl)));
  server->SetServing(false);
  return server;
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

int GrpcServer::port() const { return impl_->port; }

int GrpcServer::http_port() const { return impl_->http != nullptr ? impl_->http->port() : 0; }

void GrpcServer::SetServing(bool serving) { impl_->server->GetHealthCheckService()->SetServingStatus(serving); }

void GrpcServer::Shutdown(absl::Duration grace) {
  if (impl_->server == nullptr) {
    return;
  }
  SetServing(false);
  impl_->watches.Close();  // They would never end by themselves.
  impl_->http.reset();
  impl_->probe.reset();
  impl_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
  impl_->server->Wait();
}

}  // namespace tributary::serving
