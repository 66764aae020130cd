#ifndef TRIBUTARY_COMMON_COUNTS_COUNTS_H_
#define TRIBUTARY_COMMON_COUNTS_COUNTS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

// The same without owning its key.
struct CountKeyView {
  v1::Measure measure = v1::MEASURE_UNSPECIFIED;
  absl::string_view key;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  friend std::strong_ordering operator<=>(const CountKeyView&, const CountKeyView&) = default;
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
// `store`), BY_BUCKET where the event names one. Every accepted event counts, anonymous ones and impressions too.
void ForEachCount(const Event& event, absl::FunctionRef<void(const CountKeyView&, const CountAmounts&)> visit);

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
  // The quarter-hours of one counter from `first` to `last`, both in, ascending.
  void ForEachQuarter(const CountKey& key, int64_t first, int64_t last,
                      absl::FunctionRef<void(int64_t quarter_hour, const CountAmounts&)> visit) const;
  void ForEach(const std::function<void(const CountKey&, int64_t quarter_hour, const CountAmounts&)>& visit) const;

  // InvalidArgument: unsorted, repeated or unspecified keys, negative amounts.
  static absl::StatusOr<SegmentCounts> FromProto(const v1::LiveCounts& message);
  // Fills `deltas`, sorted.
  void ToProto(v1::LiveCounts* message) const;

 private:
  std::map<std::pair<CountKey, int64_t>, CountAmounts> deltas_;
};

// Counts of one segment while its events come in: what each event adds is noted, and added up when it is written. Not
// thread-safe.
class SegmentTally {
 public:
  void Add(const Event& event);
  // InvalidArgument: as of SegmentCounts.
  static absl::StatusOr<SegmentTally> FromProto(const v1::LiveCounts& message);
  // The field `deltas` of a v1::LiveCounts, sorted, appended to the bytes of such a message.
  void AppendBytes(std::string* bytes);
  // What it takes beside itself.
  size_t allocated_bytes() const { return keys_.capacity() + notes_.capacity() * sizeof(Note); }

 private:
  struct Note {
    uint64_t key_begins;  // The first eight bytes of the key as one number, in its order: decides most comparisons.
    uint32_t key_at;      // In keys_.
    uint32_t key_bytes;
    int32_t measure;
    int32_t type;
    int64_t quarter_hour;
    CountAmounts amounts;
  };
  absl::string_view KeyOf(const Note& note) const {
    return absl::string_view(keys_).substr(note.key_at, note.key_bytes);
  }
  void Append(const CountKeyView& key, int64_t quarter_hour, const CountAmounts& amounts);
  bool IsBefore(const Note& a, const Note& b) const;
  // Sorts, and makes one note of those that are of the same counter.
  void AddUp();

  std::string keys_;
  std::vector<Note> notes_;
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
