#include "serving_layer/requests/event_publisher.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

constexpr int64_t kMaxUnderWay = 10'000;
// Between two looks at whether the publisher is closing.
constexpr absl::Duration kDeliverTimeout = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<std::unique_ptr<EventPublisher>> EventPublisher::Start(EventLog& log, MetricsRegistry& metrics) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<LogProducer> producer, log.OpenProducer());
  return std::unique_ptr<EventPublisher>(new EventPublisher(std::move(producer), metrics));
}

EventPublisher::EventPublisher(std::unique_ptr<LogProducer> producer, MetricsRegistry& metrics)
    : producer_(std::move(producer)),
      written_(metrics.AddCounter("tributary_serving_records_written_total", "Records that requests wrote to the log.")),
      failed_(metrics.AddCounter("tributary_serving_records_failed_total",
                                 "Records of requests that were refused or could not be written.")),
      thread_([this] { Run(); }) {}

EventPublisher::~EventPublisher() {
  closing_.store(true);
  thread_.join();
}

void EventPublisher::Send(ProduceRecord record, Done done) {
  if (under_way_.fetch_add(1) >= kMaxUnderWay) {
    under_way_.fetch_sub(1);
    failed_.Increment();
    done(absl::ResourceExhaustedError(absl::StrCat("too many records wait to be written: records=", kMaxUnderWay)));
    return;
  }
  producer_->ProduceThen(std::move(record), [this, done = std::move(done)](absl::StatusOr<EventPosition> result) {
    (result.ok() ? written_ : failed_).Increment();
    done(std::move(result));
    under_way_.fetch_sub(1);
  });
}

void EventPublisher::Run() {
  while (!closing_.load() || under_way_.load() > 0) {
    producer_->Deliver(kDeliverTimeout);
  }
}

}  // namespace tributary::serving
