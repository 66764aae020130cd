#ifndef TRIBUTARY_TESTS_BENCH_ENQUEUE_H_
#define TRIBUTARY_TESTS_BENCH_ENQUEUE_H_

#include "common/event_log/event_log.h"

namespace tributary::bench {

// Queues a record, as soon as there is room for it.
void Enqueue(LogProducer& producer, const ProduceRecord& record);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_ENQUEUE_H_
