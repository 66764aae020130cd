#include "common/metrics/metrics.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <map>
#include <utility>

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/metric_family.h>
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

// The library's own histogram takes a lock for each value; this one does not, for the request path.
class AtomicHistogram final : public Histogram {
 public:
  explicit AtomicHistogram(absl::Span<const double> bounds)
      : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {}

  void Observe(double value) override {
    const size_t bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  prometheus::ClientMetric::Histogram Collect() const {
    prometheus::ClientMetric::Histogram histogram;
    histogram.sample_sum = sum_.load(std::memory_order_relaxed);
    for (size_t b = 0; b < counts_.size(); ++b) {
      histogram.sample_count += counts_[b].load(std::memory_order_relaxed);
      const double bound = b < bounds_.size() ? bounds_[b] : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back({.cumulative_count = histogram.sample_count, .upper_bound = bound});
    }
    return histogram;
  }

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;   // By bucket; values beyond the last bound behind it.
  std::atomic<double> sum_{0};
};

// All histograms, as the exposer and Text ask for them. Thread-safe.
class Histograms final : public prometheus::Collectable {
 public:
  Histogram& Add(const std::string& name, const std::string& help, absl::Span<const double> bounds,
                 const MetricLabels& labels) {
    MutexLock lock(mutex_);
    Family& family = families_[name];
    family.help = help;
    auto& slot = family.histograms[labels];
    if (slot == nullptr) {
      slot = std::make_unique<AtomicHistogram>(bounds);
    }
    return *slot;
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    MutexLock lock(mutex_);
    std::vector<prometheus::MetricFamily> collected;
    for (const auto& [name, family] : families_) {
      prometheus::MetricFamily& message = collected.emplace_back();
      message.name = name;
      message.help = family.help;
      message.type = prometheus::MetricType::Histogram;
      for (const auto& [labels, histogram] : family.histograms) {
        prometheus::ClientMetric& metric = message.metric.emplace_back();
        for (const auto& [label, value] : labels) {
          metric.label.push_back({.name = label, .value = value});
        }
        metric.histogram = histogram->Collect();
      }
    }
    return collected;
  }

 private:
  struct Family {
    std::string help;
    std::map<MetricLabels, std::unique_ptr<AtomicHistogram>> histograms;
  };

  mutable Mutex mutex_;
  std::map<std::string, Family> families_ ABSL_GUARDED_BY(mutex_);
};

prometheus::Labels ToLabels(const MetricLabels& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

struct MetricsRegistry::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<Histograms> histograms = std::make_shared<Histograms>();
  std::unique_ptr<prometheus::Exposer> exposer;
  Mutex mutex;
  std::map<std::pair<std::string, prometheus::Labels>, std::unique_ptr<Counter>> counters ABSL_GUARDED_BY(mutex);
  std::map<std::pair<std::string, prometheus::Labels>, std::unique_ptr<Gauge>> gauges ABSL_GUARDED_BY(mutex);
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
  return impl_->histograms->Add(name, help, bounds, labels);
}

absl::Status MetricsRegistry::Serve(const std::string& address) {
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception& error) {  // The library's own way to say that the port is taken.
    return absl::UnavailableError(absl::StrCat("metrics address cannot be bound: address=", address,
                                               " error=", error.what()));
  }
  impl_->exposer->RegisterCollectable(impl_->registry);
  impl_->exposer->RegisterCollectable(impl_->histograms);
  return absl::OkStatus();
}

std::string MetricsRegistry::Text() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry->Collect();
  for (prometheus::MetricFamily& family : impl_->histograms->Collect()) {
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tributary
