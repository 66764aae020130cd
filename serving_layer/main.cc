// tributary-serving: answers requests from a snapshot and the live state, over gRPC.
#include <glog/logging.h>

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/kafka/kafka_event_log.h"
#include "common/metrics/metrics.h"
#include "common/process/scheduling.h"
#include "common/process/stop_signal.h"
#include "common/status/status_macros.h"
#include "serving_layer/serving_layer.h"

namespace {

absl::Status Run(const std::string& config_path, const std::vector<std::string>& overrides) {
  tributary::StopSignal stop;
  TRIBUTARY_ASSIGN_OR_RETURN(const tributary::v1::Config config, tributary::LoadConfig(config_path, overrides));
  tributary::SetUrgency(tributary::Urgency::kPrompt);
  tributary::MetricsRegistry metrics;
  if (!config.serving().metrics_address().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(metrics.Serve(config.serving().metrics_address()));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto log, tributary::OpenKafka(config.kafka()));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto serving, tributary::serving::ServingLayer::Start(
                                                     config, *log, tributary::SystemClock(), metrics, [&stop] { stop.Request(); }));
  LOG(INFO) << "listening: address=" << config.serving().listen_address() << " port=" << serving->port()
            << " http_port=" << serving->http_port();
  stop.Wait();
  LOG(INFO) << "stopping: running requests are let to end";
  serving->Stop();
  return serving->failure();
}

}  // namespace

int main(int argc, char** argv) {
  tributary::InitLogging(argv[0]);
  CLI::App app("Serves recommendations over gRPC from the current snapshot and the live state.", "tributary-serving");
  std::string config_path;
  std::vector<std::string> overrides;
  app.add_option("--config", config_path, "Configuration file (protobuf text format); none: the defaults");
  app.add_option("--set", overrides, "Text laid over the configuration, such as 'serving { stale_after_seconds: 30 }'; may be repeated")
      ->take_all();
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Run(config_path, overrides); !status.ok()) {
    LOG(ERROR) << status.message();
    return 1;
  }
  return 0;
}
