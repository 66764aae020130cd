#ifndef TRIBUTARY_COMMON_COUNTS_COUNTS_H_
#define TRIBUTARY_COMMON_COUNTS_COUNTS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "tributary/v1/speed.pb.h"

// What is counted of an event, for the batch layer (totals below W), the speed layer (deltas a segment) and serving
// (totals across the seam): one definition for all three.
namespace tributary {

// One counter.
struct CountKey {
  v1::Measure measure = v1::MEASURE_UNSPECIFIED;
  std::string key;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  friend auto operator<=>(const CountKey&, const CountKey&) = default;
};

// Sums are exact up to the end of int64 (9.2e12 units) and stay there beyond it, so that what no real shop reaches cannot
// turn a total negative either.
struct CountAmounts {
  int64_t events = 0;
  int64_t quantity_micros = 0;
  int64_t value_micros = 0;
  CountAmounts& operator+=(const CountAmounts& other);
  CountAmounts& operator-=(const CountAmounts& other);
  friend bool operator==(const CountAmounts&, const CountAmounts&) = default;
};

// Calls `visit` for every counter that the event adds to: OVERALL always; BY_ITEM, BY_PAGE, BY_CATEGORY, BY_STORE (attribute
// `store`) where the event names one. Every accepted event counts, anonymous ones and impressions too.
void ForEachCount(const Event& event, const std::function<void(const CountKey&, const CountAmounts&)>& visit);

// Event time in quarter-hours since the Unix epoch, rounded down.
int64_t QuarterHour(int64_t event_time_unix_ms);

// The start of the segment that an offset lies in. `segment_size`: a power of two.
Offset SegmentStart(Offset offset, int64_t segment_size);

// Counts of the accepted events of one segment below some applied offset. Not thread-safe.
class SegmentCounts {
 public:
  void Add(const Event& event);
  bool empty() const { return deltas_.empty(); }
  // Sum over all quarter-hours.
  CountAmounts Total(const CountKey& key) const;
  void ForEach(const std::function<void(const CountKey&, int64_t quarter_hour, const CountAmounts&)>& visit) const;

  // InvalidArgument: unsorted, repeated or unspecified keys, negative amounts.
  static absl::StatusOr<SegmentCounts> FromProto(const v1::LiveCounts& message);
  // Fills `deltas`, sorted.
  void ToProto(v1::LiveCounts* message) const;

 private:
  std::map<std::pair<CountKey, int64_t>, CountAmounts> deltas_;
};

// Live counts of one segment as serving knows them.
struct LiveSegment {
  Offset start{};
  Offset applied{};               // Every event of the segment below this is in.
  const SegmentCounts* counts = nullptr;
};

// What the live side adds to the snapshot's total of `key` for one segment of a partition with watermark `watermark`:
// nothing for a segment that ends at or below it, all of it for one that starts at or above it; for the one that the
// watermark cuts, all of it less `cut` (the snapshot's own counts between the segment's start and the watermark), and
// nothing until the segment's applied offset has reached the watermark.
CountAmounts LiveContribution(const LiveSegment& segment, int64_t segment_size, Offset watermark, const SegmentCounts& cut,
                              const CountKey& key);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_COUNTS_COUNTS_H_
