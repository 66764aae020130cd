#ifndef TRIBUTARY_SERVING_LAYER_SERVING_LAYER_H_
#define TRIBUTARY_SERVING_LAYER_SERVING_LAYER_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/event_log/event_log.h"
#include "common/metrics/metrics.h"
#include "tributary/v1/config.pb.h"

namespace tributary::serving {

// The whole serving layer in one object: the follower and the snapshot manager in a thread each, and the gRPC server.
// Health says SERVING once the topics were followed to the ends seen at the start and there is a snapshot (or
// serve_without_snapshot is set); requests are answered before that too, flagged as what they are.
class ServingLayer {
 public:
  // `config` must be complete (LoadConfig). Borrows the rest. Errors, each one line that names what is wrong:
  // NotFound: the snapshot directory or a topic; Unavailable: the log, or the listen address.
  // `on_failure` is called at most once, on a thread of the layer, when it cannot go on: then health says NOT_SERVING,
  // failure() says why, and the owner should call Stop (not from within).
  static absl::StatusOr<std::unique_ptr<ServingLayer>> Start(const v1::Config& config, EventLog& log, const Clock& clock,
                                                             MetricsRegistry& metrics,
                                                             std::function<void()> on_failure = [] {});
  // As Stop.
  ~ServingLayer();
  ServingLayer(const ServingLayer&) = delete;
  ServingLayer& operator=(const ServingLayer&) = delete;

  // Of the gRPC server.
  int port() const;
  // Of JSON over HTTP; 0: it is off.
  int http_port() const;
  // True when health says SERVING.
  bool ready() const;
  // Why the layer cannot go on; OK while it can. FailedPrecondition: the topic `events` was recreated.
  absl::Status failure() const;
  // Takes no new requests, lets running ones end within `grace`, writes what was published, ends the threads.
  void Stop(absl::Duration grace = absl::Seconds(10));

 private:
  struct Impl;
  explicit ServingLayer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_SERVING_LAYER_H_
