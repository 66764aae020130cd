#ifndef TRIBUTARY_TESTS_SERVING_LAYER_SERVING_WORLD_H_
#define TRIBUTARY_TESTS_SERVING_LAYER_SERVING_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/event_log/topics.h"
#include "common/metrics/metrics.h"
#include "common/snapshot/snapshot.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/event.pb.h"
#include "tributary/v1/speed.pb.h"

namespace tributary::serving {

// What a serving layer lives in: a log with all topics and two partitions, a snapshot directory, a clock, and the means to
// write what the other layers write. Progress and W never lie beyond the end of `events`: what lacks is filled in.
//
// The catalogue of every snapshot: items i0 .. i9; even ones in category "tea", odd ones in "toys".
class ServingWorld {
 public:
  ServingWorld();

  // The position that speed views and progress carry.
  static v1::ViewPosition Position(int64_t applied, int32_t generation = 1, int64_t floor = 0);
  v1::Fact FactOf(v1::EventType kind, const std::string& item_id, int64_t offset) const;

  void PutView(int partition, const std::string& user_id, const v1::ViewPosition& position, std::vector<v1::Fact> facts);
  void PutTombstone(int partition, const std::string& user_id, const v1::ViewPosition& position);
  void PutProgress(int partition, const v1::ViewPosition& position);
  void PutProgress(int partition, const v1::Progress& progress);
  void PutCountsTombstone(int partition, int64_t segment_start, const v1::ViewPosition& position);
  // One overall purchase count for a segment of 16 offsets.
  void PutCounts(int partition, int64_t segment_start, const v1::ViewPosition& position, int64_t purchases);
  // Writes events to the partition until its end is at least `offset`.
  void FillEvents(int partition, int64_t offset);
  void Put(const std::string& topic, const std::string& key, const std::string& value, int partition = 0);

  // Writes a snapshot: user "ann" with the list i0 .. i9 (falling scores), popular lists, `purchases` overall of which
  // `cut` lie between the segment's start and W (partition 0; partition 1 has W = 0), and what ann bought.
  void WriteSnapshot(int64_t generation, int64_t watermark, int64_t purchases, int64_t cut,
                     const std::vector<std::pair<uint32_t, int64_t>>& bought_item_at_offset = {});
  void Activate(int64_t generation);

  int64_t now_ms() const { return absl::ToUnixMillis(clock.Now()); }

  FakeClock clock;
  FakeEventLog log{clock};
  MetricsRegistry metrics;
  v1::Config config;
  Topics topics{""};
  // Of snapshots that are written from now on.
  bool counts_buckets = true;
  bool factors = false;   // Of items of which neighbours by number are alike, and how to fold users in.
  v1::PopularityMeasure popularity;   // Without a half-life: unset.
  std::vector<std::tuple<std::string, v1::EventType, int64_t, int64_t>> cut_items;   // Item, type, quarter-hour, events.

 private:
  void PutTombstone(const std::string& topic, int partition, const std::string& key, const v1::ViewPosition& position);

  const TempDir dir_;
  std::unique_ptr<LogProducer> producer_;
};

// Calls `condition` until it holds; fails the test when that takes half a minute.
void Eventually(const std::function<bool()>& condition, const char* what);

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_SERVING_LAYER_SERVING_WORLD_H_
