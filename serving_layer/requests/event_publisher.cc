#include "serving_layer/requests/event_publisher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

constexpr size_t kMaxQueued = 10'000;
constexpr size_t kMaxBatch = 500;

}  // namespace

absl::StatusOr<std::unique_ptr<EventPublisher>> EventPublisher::Start(const Options& options, EventLog& log,
                                                                      MetricsRegistry& metrics) {
  std::unique_ptr<EventPublisher> publisher(new EventPublisher(options, metrics));
  for (int i = 0; i < options.threads; ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<LogProducer> producer, log.OpenProducer());
    publisher->producers_.push_back(std::move(producer));
  }
  for (const auto& producer : publisher->producers_) {
    publisher->threads_.emplace_back([self = publisher.get(), &producer = *producer] { self->Run(producer); });
  }
  return publisher;
}

EventPublisher::EventPublisher(const Options& options, MetricsRegistry& metrics)
    : options_(options),
      written_(metrics.AddCounter("tributary_serving_records_written_total", "Records that requests wrote to the log.")),
      failed_(metrics.AddCounter("tributary_serving_records_failed_total",
                                 "Records of requests that were refused or could not be written.")) {}

EventPublisher::~EventPublisher() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void EventPublisher::Send(ProduceRecord record, Done done) {
  {
    MutexLock lock(mutex_);
    if (!closing_ && queue_.size() < kMaxQueued) {
      queue_.push_back({.record = std::move(record), .done = std::move(done)});
      changed_.NotifyOne();
      return;
    }
  }
  failed_.Increment();
  done(absl::ResourceExhaustedError(absl::StrCat("too many records wait to be written: queued=", kMaxQueued)));
}

void EventPublisher::Run(LogProducer& producer) {
  while (true) {
    std::vector<ProduceRecord> records;
    std::vector<Done> waiting;
    {
      MutexLock lock(mutex_);
      changed_.Await(mutex_, [this]() { return closing_ || !queue_.empty(); });
      if (queue_.empty()) {
        return;
      }
      for (size_t n = std::min(queue_.size(), kMaxBatch); n > 0; --n) {
        records.push_back(std::move(queue_.front().record));
        waiting.push_back(std::move(queue_.front().done));
        queue_.pop_front();
      }
    }
    std::vector<absl::StatusOr<EventPosition>> results = producer.ProduceAll(std::move(records), options_.timeout);
    for (size_t i = 0; i < waiting.size(); ++i) {
      (results[i].ok() ? written_ : failed_).Increment();
      waiting[i](std::move(results[i]));
    }
  }
}

}  // namespace tributary::serving
