#include "tests/bench/enqueue.h"

#include <glog/logging.h>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tributary::bench {

void Enqueue(LogProducer& producer, const ProduceRecord& record) {
  absl::Status status = producer.ProduceAsync(record);
  while (absl::IsResourceExhausted(status)) {
    absl::SleepFor(absl::Milliseconds(1));
    status = producer.ProduceAsync(record);
  }
  CHECK(status.ok()) << status;
}

}  // namespace tributary::bench
