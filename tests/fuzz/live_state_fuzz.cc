#include <optional>

#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include "absl/strings/str_cat.h"
#include "common/event_log/topics.h"
#include "common/sync/rcu.h"
#include "serving_layer/live_state/live_state.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a speed view, as progress, as live counts and as the position of a tombstone, over what is known already:
// what is taken never moves a position back; what is refused says so by its code and changes nothing.
namespace tributary::fuzz {
namespace {

constexpr PartitionId kPartition{0};
constexpr int64_t kSegment = 1024;

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

LogRecord Record(std::string key, std::string value) {
  LogRecord record;
  record.source = {"t", kPartition};
  record.append_time_unix_ms = 1700000000000;
  record.key = std::move(key);
  record.value = std::move(value);
  return record;
}

LogRecord Tombstone(std::string key, std::string position) {
  LogRecord record = Record(std::move(key), "");
  record.value.reset();
  record.headers = {{std::string(kPositionHeader), std::move(position)}};
  return record;
}

v1::ViewPosition Position(int64_t applied) {
  v1::ViewPosition position;
  position.set_applied_offset(applied);
  position.set_group_generation(2);
  return position;
}

std::string Counts(int64_t applied) {
  v1::LiveCounts counts;
  counts.set_segment_start(kSegment);
  *counts.mutable_position() = Position(applied);
  v1::CountDelta& delta = *counts.add_deltas();
  delta.set_measure(v1::BY_ITEM);
  delta.set_key("tea");
  delta.set_type(v1::PURCHASE);
  delta.set_events(2);
  delta.set_quarter_hour(5);
  return counts.SerializeAsString();
}

std::string View(int64_t applied) {
  v1::SpeedView view;
  *view.mutable_position() = Position(applied);
  for (int64_t offset : {3, 4}) {
    v1::Fact& fact = *view.add_facts();
    fact.set_kind(v1::VIEW);
    fact.set_item_id("tea");
    fact.set_offset(offset);
  }
  return view.SerializeAsString();
}

std::string Progress(int64_t applied) {
  v1::Progress progress;
  *progress.mutable_position() = Position(applied);
  progress.set_gap_end_offset(1);
  return progress.SerializeAsString();
}

// The orders of ann's view, of the progress and of the segment: they may only grow.
struct Orders {
  explicit Orders(const serving::LiveState& live) {
    const EpochGuard guard;
    view = live.FindUser("ann")->views.at(0)->order;
    const serving::LivePartitionState& partition = live.partitions().partitions.at(0);
    progress = *partition.progress;
    if (const auto segment = partition.segments->find(Offset{kSegment}); segment != partition.segments->end()) {
      counts = segment->second->order;
    }
  }
  serving::ViewOrder view;
  serving::ViewOrder progress;
  std::optional<serving::ViewOrder> counts;   // None: there is no such segment.
};

void CheckTaken(const absl::Status& status) { CHECK(status.ok() || absl::IsInvalidArgument(status)) << status; }

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (const int64_t applied : {9, 10, 11}) {
    seeds.insert(seeds.end(), {View(applied), Progress(applied), Counts(applied), Position(applied).SerializeAsString()});
  }
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  using namespace tributary::fuzz;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::string progress_key(kProgressKey);
  const std::string segment_key = absl::StrCat(kSegment);
  serving::LiveState live;
  CHECK(live.ApplySpeedView(Record("ann", View(10))).ok());
  CHECK(live.ApplySpeedView(Record(progress_key, Progress(10))).ok());
  CHECK(live.ApplyLiveCounts(Record(segment_key, Counts(10))).ok());
  live.DropFaded();
  live.Publish();
  const Orders before(live);

  CheckTaken(live.ApplySpeedView(Record("ann", bytes)));
  CheckTaken(live.ApplySpeedView(Record(progress_key, bytes)));
  CheckTaken(live.ApplyLiveCounts(Record(segment_key, bytes)));
  live.DropFaded();
  live.Publish();
  const Orders after(live);
  CHECK(after.view >= before.view && after.progress >= before.progress && after.counts >= before.counts);

  CheckTaken(live.ApplySpeedView(Tombstone("ann", bytes)));
  CheckTaken(live.ApplyLiveCounts(Tombstone(segment_key, bytes)));
  CheckTaken(live.ApplyLiveCounts(Record(bytes, Counts(11))));
  live.DropFaded();
  live.Publish();
  const Orders last(live);
  CHECK(last.view >= after.view && last.progress == after.progress);
  return 0;
}
