#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/kafka/kafka_event_log.h"
#include "common/local_store/local_store.h"
#include "common/metrics/metrics.h"
#include "common/process/scheduling.h"
#include "common/process/stop_signal.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"
#include "speed_layer/speed_layer.h"

namespace tributary::speed {
namespace {

// A signal is looked at this often while waiting to try again.
constexpr absl::Duration kLongestSleep = absl::Milliseconds(100);

// Threads have heaps of 64 MiB each, which the allocator otherwise makes writable page by page, and gives back as often: a call
// of the kernel for every few users that are restored. What nobody touches takes no memory.
void TakeMemoryInLargePieces() {
  mallopt(M_TOP_PAD, 62 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

absl::Status Run(const v1::Config& config, const StopSignal& stop) {
  SetUrgency(Urgency::kPrompt);
  MetricsRegistry metrics;
  if (!config.speed().metrics_address().empty())
    TRIBUTARY_RETURN_IF_ERROR(metrics.Serve(config.speed().metrics_address()));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, OpenKafka(config.kafka()));
  std::unique_ptr<LocalStore> store;
  if (config.speed().memory_budget_bytes() > 0) {
    TRIBUTARY_ASSIGN_OR_RETURN(store, OpenLocalStore(config.speed().local_store_dir()));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::unique_ptr<SpeedLayer> layer,
      SpeedLayer::Open(*log, SystemClock(), metrics, {.config = config, .store = store.get()}));
  LOG(INFO) << "running: instance=" << config.speed().instance() << " group=" << config.speed().group();
  while (!stop.stopped()) {
    TRIBUTARY_RETURN_IF_ERROR(layer->RunOnce());
    if (const absl::Duration delay = layer->delay(); delay > absl::ZeroDuration()) {
      absl::SleepFor(std::min(delay, kLongestSleep));
    }
  }
  LOG(INFO) << "stopping: instance=" << config.speed().instance();
  return layer->Stop();
}

}  // namespace
}  // namespace tributary::speed

int main(int argc, char** argv) {
  tributary::speed::TakeMemoryInLargePieces();
  tributary::StopSignal stop;
  tributary::InitLogging(argv[0]);
  std::string path;
  std::vector<std::string> overrides;
  std::string instance;
  CLI::App app(
      "tributary-speed: turns events into live state. One member of a consumer group; start as many as you like.");
  app.add_option("--config", path, "Configuration file (protobuf text format); without it the defaults hold");
  app.add_option("--set", overrides, "Laid over the configuration, such as 'speed { checkpoint_ms: 500 }'; repeatable")
      ->allow_extra_args(false);
  app.add_option("--instance", instance, "Stable name of this instance; the same as speed.instance");
  std::optional<int64_t> memory_budget;
  app.add_option("--memory-budget", memory_budget, "Bytes; the same as speed.memory_budget_bytes")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  CLI11_PARSE(app, argc, argv);

  absl::StatusOr<tributary::v1::Config> config = tributary::LoadConfig(path, overrides);
  if (config.ok() && !instance.empty()) config->mutable_speed()->set_instance(instance);
  if (config.ok() && memory_budget) config->mutable_speed()->set_memory_budget_bytes(*memory_budget);
  absl::Status status = config.status();
  if (status.ok()) status = tributary::ValidateConfig(*config);
  if (status.ok()) status = tributary::speed::Run(*config, stop);
  if (status.ok()) return EXIT_SUCCESS;
  LOG(ERROR) << "tributary-speed ends: " << status;
  return EXIT_FAILURE;
}
