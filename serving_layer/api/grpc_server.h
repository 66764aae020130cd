#ifndef TRIBUTARY_SERVING_LAYER_API_GRPC_SERVER_H_
#define TRIBUTARY_SERVING_LAYER_API_GRPC_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/topics.h"
#include "common/metrics/metrics.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/requests/event_publisher.h"
#include "serving_layer/requests/freshness_waits.h"
#include "serving_layer/requests/recommender.h"
#include "serving_layer/requests/watches.h"
#include "serving_layer/snapshot_manager/snapshot_manager.h"
#include "tributary/v1/config.pb.h"

namespace tributary::serving {

// What the services answer from. All is borrowed, and must outlive the server.
struct ServiceParts {
  const Recommender& recommender;
  const LiveState& live;
  const ContextPublisher& context;
  const SnapshotManager& snapshots;
  EventPublisher& publisher;
  FreshnessWaits& waits;
  Watches& watches;
  const Clock& clock;
  MetricsRegistry& metrics;
  const v1::Config& config;
  const Topics& topics;
  std::function<void(bool)> drain;   // Health says NOT_SERVING from now on, or no longer for this reason.
};

// Calls of one connection at a time, streams among them; gRPC keeps the others at the client. What a client asks faster than it
// is answered would else pile up here before a thread looks at it, without a bound.
inline constexpr int kMaxCallsOfConnection = 1000;

// The gRPC server: all services of proto/tributary/v1, health checking and reflection. gRPC's callback API: no thread of
// ours waits for a client, and a request that waits for freshness or for the log holds no thread either.
// Threads: thread-safe.
class GrpcServer {
 public:
  // Unavailable: one of the addresses cannot be bound. Health says NOT_SERVING until SetServing(true).
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const std::string& address, const ServiceParts& parts);
  // As Shutdown without grace.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // The port that was bound (for an address that ends in :0).
  int port() const;
  // Of JSON over HTTP; 0: it is off.
  int http_port() const;
  void SetServing(bool serving);
  // Says NOT_SERVING, takes no new requests, and lets running ones end within `grace`.
  void Shutdown(absl::Duration grace);

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_GRPC_SERVER_H_
