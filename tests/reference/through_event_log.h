#ifndef TRIBUTARY_TESTS_REFERENCE_THROUGH_EVENT_LOG_H_
#define TRIBUTARY_TESTS_REFERENCE_THROUGH_EVENT_LOG_H_

#include <cstdint>
#include <vector>

#include "tests/reference/reference.h"

namespace tributary::reference {

// Produces the records to the topic `events` of a fake event log, some in transactions, with aborted ones between them
// and one left open at the end, and reads back what is committed: the same values at other offsets and append times.
// Imports pass unchanged.
std::vector<RawRecord> ThroughEventLog(const std::vector<RawRecord>& records, int32_t partitions, uint64_t seed);

}  // namespace tributary::reference

#endif  // TRIBUTARY_TESTS_REFERENCE_THROUGH_EVENT_LOG_H_
