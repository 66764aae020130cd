#include "tests/reference/random_log.h"

#include <random>
#include <string>

#include "tests/reference/random_events.h"

namespace tributary::reference {
namespace {

constexpr int64_t kBegin = 1700000000000;
constexpr int64_t kMinute = 60 * 1000;
constexpr int64_t kHour = 60 * kMinute;

}  // namespace

std::vector<RawRecord> MakeRandomLog(const RandomLogOptions& options) {
  std::mt19937_64 random(options.seed);
  RandomEvents events(random, /*users=*/6, /*items=*/5);
  int64_t now = kBegin;
  std::vector<RawRecord> records;
  for (int line = 0; line < options.imported; ++line) {
    const int64_t ordinal = 2 * line / options.imported;  // Two files.
    records.push_back({-1, (ordinal << 40) + line, now, events.Value(events.User(), now)});
  }
  std::vector<int64_t> next_offsets(static_cast<size_t>(options.partitions));
  for (int i = 0; i < options.records; ++i) {
    now += events.OneIn(40) ? events.Pick(30 * kHour) : events.Pick(20 * kMinute);
    const int64_t user = events.User();
    const auto partition =
        static_cast<int32_t>(events.OneIn(6) ? events.Pick(options.partitions) : user % options.partitions);
    int64_t& offset = next_offsets[static_cast<size_t>(partition)];
    if (events.OneIn(8)) offset += 1 + events.Pick(3);
    const int64_t append_time = events.OneIn(10) ? now - events.Pick(5 * kMinute) : now;
    records.push_back(
        {partition, offset++, append_time, events.OneIn(12) ? events.BadValue(user, now) : events.Value(user, now)});
  }
  return records;
}

}  // namespace tributary::reference
