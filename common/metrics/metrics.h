#ifndef TRIBUTARY_COMMON_METRICS_METRICS_H_
#define TRIBUTARY_COMMON_METRICS_METRICS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

// Metrics in Prometheus' text format, behind an interface so that its headers stay in one .cc.
// Names: tributary_<layer>_<thing>_<unit>[_total], seconds and bytes; labels come from a fixed set, never an id.
namespace tributary {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Only rises. Thread-safe, lock-free.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Increment(double by = 1) = 0;
  virtual double value() const = 0;
};

// Thread-safe, lock-free.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual double value() const = 0;
};

// Thread-safe, lock-free. A scrape during Observe may see its bucket before its sum.
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Makes metrics and, when asked, serves them over HTTP. The metrics live as long as the registry; asking for the same name
// and labels again gives the same metric. Thread-safe.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  Counter& AddCounter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  // `bounds`: upper bounds of the buckets, ascending.
  Histogram& AddHistogram(const std::string& name, const std::string& help, absl::Span<const double> bounds,
                          const MetricLabels& labels = {});

  // Serves /metrics at host:port until the registry goes. Unavailable: the address cannot be bound.
  absl::Status Serve(const std::string& address);
  // What /metrics would answer.
  std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_METRICS_METRICS_H_
