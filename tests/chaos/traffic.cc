#include "tests/chaos/traffic.h"

#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "glog/logging.h"
#include "tests/reference/random_events.h"

namespace tributary::chaos {
namespace {

constexpr int kBatch = 25;                                    // Records that are sent, then waited for.
constexpr absl::Duration kBatchEvery = absl::Milliseconds(200);   // 125 records a second.
constexpr absl::Duration kFlush = absl::Seconds(30);

}  // namespace

Traffic::Traffic(EventLog& log, const TrafficOptions& options)
    : log_(log), options_(options), random_(options.seed), thread_([this] { Run(); }) {}

Traffic::~Traffic() {
  stop_ = true;
  thread_.join();
}

void Traffic::Run() {
  const auto producer = log_.OpenProducer();
  CHECK(producer.ok()) << producer.status();
  reference::RandomEvents events(random_, options_.users, options_.items);
  for (int64_t n = 0; n < options_.events && !stop_; ++n) {
    const int64_t now = absl::ToUnixMillis(absl::Now());
    const int64_t user = events.User();
    // Half of the users scatter, as with producers that hash differently.
    const int64_t partition = user % 2 == 0 ? user : events.Pick(options_.partitions);
    Send(**producer, static_cast<int>(partition % options_.partitions),
         n % 10 == 9 ? events.BadValue(user, now) : events.Value(user, now));
    if (n == options_.events / 2) {
      for (int64_t b = 0; b < options_.bot_events; ++b) {
        Send(**producer, 0, events.Event(options_.users, now).SerializeAsString());
      }
    }
    if (n % kBatch == kBatch - 1) {
      const absl::Status flushed = (*producer)->Flush(kFlush);
      LOG_IF(INFO, !flushed.ok()) << "chaos: traffic: " << flushed.message();
      absl::SleepFor(kBatchEvery);   // The rate.
    }
  }
  (void)(*producer)->Flush(kFlush);
  done_ = true;
}

void Traffic::Send(LogProducer& producer, int partition, std::string value) {
  const ProduceRecord record{
      .topic = options_.topic, .partition = PartitionId{partition}, .key = "", .value = std::move(value)};
  // The queue is full while the broker is away.
  while (!producer.ProduceAsync(record).ok() && !stop_) {
    (void)producer.Flush(kFlush);
  }
  ++sent_;
}

}  // namespace tributary::chaos
