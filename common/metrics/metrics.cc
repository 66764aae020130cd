#include "common/metrics/metrics.h"

#include <exception>
#include <map>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "common/sync/mutex.h"

namespace tributary {
namespace {

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void Increment(double by) override { counter_.Increment(by); }
  double value() const override { return counter_.Value(); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double value) override { gauge_.Set(value); }
  double value() const override { return gauge_.Value(); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void Observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

prometheus::Labels ToLabels(const MetricLabels& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

struct MetricsRegistry::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer;
  Mutex mutex;
  std::map<std::pair<std::string, prometheus::Labels>, std::unique_ptr<Counter>> counters ABSL_GUARDED_BY(mutex);
  std::map<std::pair<std::string, prometheus::Labels>, std::unique_ptr<Gauge>> gauges ABSL_GUARDED_BY(mutex);
  std::map<std::pair<std::string, prometheus::Labels>, std::unique_ptr<Histogram>> histograms ABSL_GUARDED_BY(mutex);
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::AddCounter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  MutexLock lock(impl_->mutex);
  auto& slot = impl_->counters[{name, ToLabels(labels)}];
  if (slot == nullptr) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(*impl_->registry);
    slot = std::make_unique<PrometheusCounter>(family.Add(ToLabels(labels)));
  }
  return *slot;
}

Gauge& MetricsRegistry::AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels) {
  MutexLock lock(impl_->mutex);
  auto& slot = impl_->gauges[{name, ToLabels(labels)}];
  if (slot == nullptr) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(*impl_->registry);
    slot = std::make_unique<PrometheusGauge>(family.Add(ToLabels(labels)));
  }
  return *slot;
}

Histogram& MetricsRegistry::AddHistogram(const std::string& name, const std::string& help,
                                         absl::Span<const double> bounds, const MetricLabels& labels) {
  MutexLock lock(impl_->mutex);
  auto& slot = impl_->histograms[{name, ToLabels(labels)}];
  if (slot == nullptr) {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(*impl_->registry);
    slot = std::make_unique<PrometheusHistogram>(
        family.Add(ToLabels(labels), prometheus::Histogram::BucketBoundaries(bounds.begin(), bounds.end())));
  }
  return *slot;
}

absl::Status MetricsRegistry::Serve(const std::string& address) {
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception& error) {  // The library's own way to say that the port is taken.
    return absl::UnavailableError(absl::StrCat("metrics address cannot be bound: address=", address,
                                               " error=", error.what()));
  }
  impl_->exposer->RegisterCollectable(impl_->registry);
  return absl::OkStatus();
}

std::string MetricsRegistry::Text() const { return prometheus::TextSerializer().Serialize(impl_->registry->Collect()); }

}  // namespace tributary
