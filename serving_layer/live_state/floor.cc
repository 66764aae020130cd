#include "serving_layer/live_state/floor.h"

#include "absl/strings/str_cat.h"

namespace tributary::serving {

absl::Status CheckFloor(const LoadedSnapshot& snapshot, const LivePartitions& live) {
  for (size_t p = 0; p < live.partitions.size(); ++p) {
    const Offset watermark = snapshot.Watermark(PartitionId{static_cast<int32_t>(p)});
    if (watermark < live.partitions[p].floor()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "snapshot older than the live views reach back: generation=", Value(snapshot.generation()), " partition=", p,
          " watermark=", Value(watermark), " floor=", Value(live.partitions[p].floor())));
    }
  }
  return absl::OkStatus();
}

}  // namespace tributary::serving
